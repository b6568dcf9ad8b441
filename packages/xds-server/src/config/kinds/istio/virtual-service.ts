// VirtualService (istio-envoy.md 1.1): how requests for some hosts are routed.
import type { Delegation, HttpPolicy, HttpRoute, RouteDelegate, RouteRule } from '../../../model/route-rule.js';
import type { ConfigKind, NormalizeContext } from '../../config-kind.js';
import type { Fields } from '../../fields.js';
import { joinPath } from '../../field-path.js';
import { hostProblem, modelBase, readExportTo, resolveHost } from '../../names.js';
import { istioVersions, networking, readSpec } from './api.js';
import { readTarget, type RouteTarget } from './http-action.js';
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
    const exportTo = readExportTo(spec, namespace);
    const { http, delegations } = readHttp(spec, { namespace, context });
    if (!spec.has('hosts') || (Array.isArray(spec.raw('hosts')) && hosts.length === 0)) return readDelegateRoutes(spec, { ...modelBase(object), type: 'route-delegate', exportTo, http });
    const rule: RouteRule = {
      ...modelBase(object),
      type: 'route-rule',
      hosts,
      exportTo,
      http,
      ...(delegations.length > 0 && { delegations }),
      tcp: spec.list('tcp').flatMap((fields) => readStreamRoute(fields, 'tcp', hosts, { namespace, context }) ?? []),
      tls: spec.list('tls').flatMap((fields) => readStreamRoute(fields, 'tls', hosts, { namespace, context }) ?? []),
    };
    spec.finish();
    if (gateways.length > 0 && !gateways.includes('mesh')) {
      spec.warn('gateways', 'does not list mesh: the object is for gateways only and has no effect here');
      return [];
    }
    return rule.http.length + delegations.length + rule.tcp.length + rule.tls.length > 0 ? [rule] : [];
  },
};

function readHosts(spec: Fields, namespace: string, context: NormalizeContext): string[] {
  const hosts = spec.strings('hosts');
  hosts.forEach((host, at) => {
    const problem = host === '*' ? undefined : hostProblem(host);
    if (problem) spec.report.error(joinPath(spec.at('hosts'), at), problem);
  });
  return [...new Set(hosts.map((host) => resolveHost(host, namespace, context)))];
}

/** Without hosts: routes that other objects take up. Nothing else can be in such an object. */
function readDelegateRoutes(spec: Fields, delegate: RouteDelegate): RouteDelegate[] {
  for (const name of ['gateways', 'tcp', 'tls']) if (spec.has(name)) spec.error(name, 'cannot be in an object without hosts: others take up its http routes');
  for (const fields of spec.list('http')) if (fields.has('delegate')) fields.error('delegate', 'an object without hosts cannot delegate again');
  if (delegate.http.length === 0) spec.error('hosts', 'is required (an object with http routes and no hosts is a delegate)');
  spec.finish();
  return [delegate];
}

function readHttp(spec: Fields, scope: DestinationScope): { http: HttpRoute[]; delegations: Delegation[] } {
  const http: HttpRoute[] = [];
  const delegations: Delegation[] = [];
  for (const [index, fields] of spec.list('http').entries()) {
    const read = readHttpRoute(fields, scope);
    if (read === undefined) continue;
    const { target, ...policy } = read;
    if ('action' in target) http.push({ ...policy, ...target });
    else delegations.push({ ...policy, ...target.delegate, at: http.length, index });
  }
  return { http, delegations };
}

/** Undefined where the route is only for gateways. */
function readHttpRoute(fields: Fields, scope: DestinationScope): (HttpPolicy & { target: RouteTarget }) | undefined {
  const entries = fields.list('match');
  const matches = entries.flatMap((entry) => readHttpMatch(entry) ?? []);
  const target = readTarget(fields, scope);
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
  if (rewrite && target && 'action' in target && target.action.kind !== 'route') fields.error('rewrite', 'has no effect beside redirect or directResponse');
  fields.finish();
  // A route whose every match was for gateways would otherwise match everything.
  if (!target || (entries.length > 0 && matches.length === 0)) return undefined;
  return { ...route, target };
}
