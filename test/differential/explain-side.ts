// What `weft explain` says of a case, held against what Envoy did: an explanation that is wrong is worse than none.
import type { ExplainRequest } from '@weft/data-plane/explain';
import { explainResources } from '../../packages/cli/src/explain/raw-resources.js';
import { hopHeaders } from './compare.js';
import { isUnfollowed } from './known-differences.js';
import type { Case, JsonObject, Observation } from './model.js';

const hcmType = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

/** Explains cases of one table; returns what contradicts Envoy, by case. */
export async function contradictions(clusters: readonly JsonObject[], cases: readonly Case[], seen: readonly Observation[]): Promise<string[][]> {
  const [{ table } = { table: undefined }] = cases;
  if (!table) return [];
  const listener = {
    '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener', name: 'a.test:80',
    api_listener: { api_listener: { '@type': hcmType, stat_prefix: 'd', route_config: table.routes, http_filters: table.httpFilters } },
  };
  const explainer = explainResources({ resources: [listener, ...clusters] });
  try {
    const found: string[][] = [];
    for (const [i, { request }] of cases.entries()) found.push(await contradicts(explainer, request, seen[i]!));
    return found;
  } finally {
    explainer.close();
  }
}

async function contradicts(explainer: ReturnType<typeof explainResources>, request: Case['request'], envoy: Observation): Promise<string[]> {
  // Explained as a call of a gRPC client, which this request over plain HTTP is not.
  if (request.headers.some(([name, value]) => name === 'content-type' && /^application\/grpc(\+|$)/.test(value))) return [];
  const asked: ExplainRequest = { url: `http://a.test${request.path}`, method: request.method, headers: [...request.headers, ['host', request.authority]] };
  const { explanation, sent } = await explainer.explain(asked);
  const found: string[] = [];
  const hold = (what: string, said: unknown, did: unknown) => {
    if (said !== did) found.push(`${what}: explained ${String(said)}, Envoy ${String(did)} (filters ${JSON.stringify(explanation.filters ?? [])})`);
  };
  // Of a request that is sent on by a redirect, the first route is explained.
  if (isUnfollowed(envoy) || request.script.some(({ headers = [] }) => headers.some(([name]) => name === 'location'))) return [];
  hold('route', explanation.route ?? '', envoy.route);
  // Names of routes begin with their virtual host's.
  if (envoy.route !== '') hold('virtual host', explanation.virtualHost, `vh-${envoy.route.split('-')[1]}`);
  if (explanation.action === 'route' && envoy.attempts.length - 1 > (explanation.retry?.attempts ?? 0)) hold('retries at most', explanation.retry?.attempts ?? 0, envoy.attempts.length - 1);
  const [attempt] = envoy.attempts;
  if (attempt) {
    hold('action', explanation.action, 'route');
    hold('cluster', explanation.cluster, envoy.cluster);
    hold('path', explanation.path, attempt.path);
    hold('authority', explanation.authority, attempt.authority);
    if (sent) {
      const headers = new Map<string, string[]>();
      for (const [name, value] of sent.headers) headers.set(name, [...(headers.get(name) ?? []), value]);
      for (const name of new Set([...headers.keys(), ...Object.keys(attempt.headers)])) {
        if (hopHeaders.has(name) || name === 'x-envoy-expected-rq-timeout-ms' || name === 'x-script') continue;
        hold(`header ${name}`, joined(headers.get(name)), joined(attempt.headers[name]));
      }
    }
  } else if (explanation.action === 'redirect' && envoy.details === 'direct_response' && envoy.headers['location']) {
    hold('location', explanation.location, envoy.headers['location'].join(','));
  }
  return found;
}

function joined(values: readonly string[] | undefined): string | undefined {
  // White space at the ends is no part of a value on the wire.
  const trimmed = values?.map((value) => value.trim());
  return trimmed && (trimmed.length < 2 ? trimmed[0]! : trimmed.filter((value) => value !== '').join(','));
}
