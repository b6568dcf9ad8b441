// VirtualService (istio-envoy.md 1.1): how requests for some hosts are routed.
import type { HttpRoute, RouteRule } from '../../../model/route-rule.js';
import type { ConfigKind, NormalizeContext } from '../../config-kind.js';
import type { Fields } from '../../fields.js';
import { joinPath } from '../../field-path.js';
import { hostProblem, modelBase, readExportTo, resolveHost } from '../../names.js';
import { istioVersions, networking, readSpec } from './api.js';
import { readAction } from './http-action.js';
import { readMirrors, type DestinationScope } from './http-destination.js';
import { readFault } from './http-fault.js';
import { readHeaderEdits } from './http-headers.js';
import { readHttpMatch } from './http-match.js';
import { readStreamRoute } from './stream-route.js';
import { readCors, readRetries, readRewrite } from './http-policy.js';

export const virtualService: ConfigKind = {
  group: networking,
  kind: 'VirtualService',
  versions: istioVersions,
  namespaced: true,
  normalize(object, context) {
    const spec = readSpec(object, context);
    const { namespace } = object.metadata;
    const hosts = readHosts(spec, namespace, context);
    const gateways = spec.strings('gateways');
    const rule: RouteRule = {
      ...modelBase(object),
      type: 'route-rule',
      hosts,
      exportTo: readExportTo(spec, namespace),
      http: spec.list('http').flatMap((fields) => readHttpRoute(fields, { namespace, context }) ?? []),
      tcp: spec.list('tcp').flatMap((fields) => readStreamRoute(fields, 'tcp', hosts, { namespace, context }) ?? []),
      tls: spec.list('tls').flatMap((fields) => readStreamRoute(fields, 'tls', hosts, { namespace, context }) ?? []),
    };
    spec.finish();
    if (gateways.length > 0 && !gateways.includes('mesh')) {
      spec.warn('gateways', 'does not list mesh: the object is for gateways only and has no effect here');
      return [];
    }
    return rule.http.length + rule.tcp.length + rule.tls.length > 0 ? [rule] : [];
  },
};

function readHosts(spec: Fields, namespace: string, context: NormalizeContext): string[] {
  const hosts = spec.strings('hosts');
  if (hosts.length === 0) spec.error('hosts', 'is required (an object without hosts is a delegate, which is not implemented)');
  hosts.forEach((host, at) => {
    const problem = host === '*' ? undefined : hostProblem(host);
    if (problem) spec.report.error(joinPath(spec.at('hosts'), at), problem);
  });
  return [...new Set(hosts.map((host) => resolveHost(host, namespace, context)))];
}

/** Undefined where the route is only for gateways. */
function readHttpRoute(fields: Fields, scope: DestinationScope): HttpRoute | undefined {
  const entries = fields.list('match');
  const matches = entries.flatMap((entry) => readHttpMatch(entry) ?? []);
  const action = readAction(fields, scope);
  const timeoutMs = fields.duration('timeout');
  const retries = readRetries(fields);
  const fault = readFault(fields);
  const rewrite = readRewrite(fields);
  const cors = readCors(fields);
  const route = {
    name: fields.string('name') ?? '',
    matches,
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(retries && { retries }),
    ...(fault && { fault }),
    ...(rewrite && { rewrite }),
    ...readHeaderEdits(fields),
    mirrors: readMirrors(fields, scope),
    ...(cors && { cors }),
  };
  if (rewrite && action && action.kind !== 'route') fields.error('rewrite', 'has no effect beside redirect or directResponse');
  fields.finish();
  // A route whose every match was for gateways would otherwise match everything.
  if (!action || (entries.length > 0 && matches.length === 0)) return undefined;
  return { ...route, action };
}
