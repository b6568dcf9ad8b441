import { describe, expect, it } from 'vitest';
import { peerPolicy, routeRule, service, trafficPolicy, workload } from '../model/fixture.js';
import type { ModelObject } from '../model/model-object.js';
import type { HttpMatch, HttpRoute } from '../model/route-rule.js';
import { contextOf, generateJson, type TestMesh } from './fixture.js';
import { lintForGrpc } from './lint.js';
import { grpcProfile } from './profile/grpc.js';

const host = 'payments.default.svc.cluster.local';
const name = `outbound|8080||${host}`;
const payments = service('payments', { ports: [{ number: 8080, name: 'grpc', protocol: 'grpc', targetPort: 8080 }] });
const one = workload('p1', '10.0.0.1', { labels: { app: 'payments' }, serviceAccount: 'payments' });
const toV1 = { kind: 'route', destinations: [{ host, subset: '', weight: 1 }] } as const;

function match(over: Partial<HttpMatch>): HttpMatch {
  return { name: 'm', ignoreUriCase: false, headers: [], withoutHeaders: [], queryParams: [], sourceLabels: {}, ...over };
}

function http(over: Partial<HttpRoute>): HttpRoute {
  return { name: 'r', matches: [], action: toV1, mirrors: [], ...over };
}

function routes(list: HttpRoute[], objects: ModelObject[] = []) {
  const context = contextOf([payments, one, routeRule('payments', [host], { http: list }), ...objects]);
  const config = generateJson(grpcProfile, 'route', name, context);
  expect(lintForGrpc('route', config)).toEqual([]);
  return { routes: config.virtualHosts[0].routes ?? [], warnings: context.warnings };
}

function cluster(objects: ModelObject[], mesh: TestMesh = {}, clusterName = name) {
  const context = contextOf([payments, ...objects], mesh);
  const config = generateJson(grpcProfile, 'cluster', clusterName, context);
  if (config) expect(lintForGrpc('cluster', config)).toEqual([]);
  return { config, warnings: context.warnings };
}

describe('routes of gRPC clients', () => {
  it('are acceptable to every implementation in the plain case', () => {
    const context = contextOf([payments, one]);
    for (const type of ['listener', 'route', 'cluster', 'endpoint'] as const) {
      for (const resource of grpcProfile.names(type, context)) {
        expect(lintForGrpc(type, generateJson(grpcProfile, type, resource, context)), resource).toEqual([]);
      }
    }
    expect(context.warnings).toEqual([]);
    const [route] = generateJson(grpcProfile, 'route', name, context).virtualHosts[0].routes;
    expect(route).toEqual({ name: 'default', match: { prefix: '' }, route: { cluster: name, retryPolicy: { retryOn: 'cancelled,unavailable', numRetries: 2 } } });
  });

  it('keep the fault filter in every listener, so that a route with a fault changes no listener', () => {
    const [before, after] = [[], [routeRule('payments', [host], { http: [http({ fault: { abort: { grpcStatus: 14, percent: 50 } } })] })]].map((rules) =>
      grpcProfile.generate('listener', 'payments:8080', contextOf([payments, ...rules])),
    );
    expect(after?.value).toEqual(before?.value);
    expect(routes([http({ fault: { abort: { grpcStatus: 14, percent: 50 } } })]).routes[0].typedPerFilterConfig['envoy.filters.http.fault'].abort).toEqual({
      grpcStatus: 14, percentage: { numerator: 500000, denominator: 'MILLION' },
    });
  });

  it('carry the sum of weights, and leave out weight 0', () => {
    const { routes: [route] } = routes([http({ action: { kind: 'route', destinations: [{ host, subset: '', weight: 3 }, { host, subset: 'v2', weight: 1 }, { host, subset: 'v3', weight: 0 }] } })]);
    expect(route.route.weightedClusters).toEqual({ clusters: [{ name, weight: 3 }, { name: `outbound|8080|v2|${host}`, weight: 1 }], totalWeight: 4 });
  });

  it('send what gRPC cannot do nowhere else, and say so', () => {
    const redirect = routes([http({ matches: [match({ uri: { kind: 'prefix', value: '/a' } })], action: { kind: 'redirect', status: 301 } }), http({})]);
    expect(redirect.routes[0]).toMatchObject({ match: { prefix: '/a' }, route: { cluster: 'BlackHoleCluster' } });
    expect(redirect.warnings).toEqual([expect.stringContaining('VirtualService default/payments: http[0]: redirect')]);
    const direct = routes([http({ action: { kind: 'direct-response', status: 200, body: new Uint8Array() } })]);
    expect(direct.routes[0].route.cluster).toBe('BlackHoleCluster');
    expect(cluster([], {}, 'BlackHoleCluster').config).toMatchObject({ type: 'EDS' });
    const nothing = generateJson(grpcProfile, 'endpoint', 'BlackHoleCluster', contextOf([]));
    expect(nothing).toEqual({ clusterName: 'BlackHoleCluster' });
  });

  it('decide here what no gRPC call has', () => {
    const get = routes([http({ matches: [match({ method: { kind: 'exact', value: 'GET' } })] }), http({ name: 'last' })]);
    expect(get.routes.map((route: { name: string }) => route.name)).toEqual(['last']);
    expect(get.warnings).toHaveLength(1);
    const post = routes([http({ matches: [match({ method: { kind: 'exact', value: 'POST' } })] })]);
    expect(post.routes[0].match).toEqual({ prefix: '' });
    const query = routes([http({ matches: [match({ queryParams: [{ name: 'a', match: { kind: 'exact', value: '1' } }] })] })]);
    expect(query.routes).toEqual([]);
    expect(query.warnings).toHaveLength(1);
    expect(routes([http({ matches: [match({ authority: { kind: 'exact', value: 'x' } })] })]).warnings).toEqual([expect.stringContaining('authority')]);
  });

  it('take an absent header as passing withoutHeaders, which gRPC needs two routes for', () => {
    const { routes: list } = routes([http({ matches: [match({ withoutHeaders: [{ name: 'x', match: { kind: 'exact', value: '1' } }] })] })]);
    expect(list.map((route: { match: { headers: unknown } }) => route.match.headers)).toEqual([
      [{ name: 'x', presentMatch: true, invertMatch: true }],
      [{ name: 'x', stringMatch: { exact: '1' }, invertMatch: true }],
    ]);
  });

  it('limit time with max_stream_duration', () => {
    expect(routes([http({ timeoutMs: 1500 })]).routes[0].route.maxStreamDuration).toEqual({ maxStreamDuration: '1.500s' });
  });

  it('retry on gRPC’s words only, and wait less than a second', () => {
    const base = { attempts: 3, statusCodes: [], ignorePreviousHosts: true, remoteLocalities: false };
    const found = routes([http({ retries: { ...base, retryOn: ['unavailable', '5xx', 'connect-failure'], backoffMs: 2000, perTryTimeoutMs: 5 } })]);
    expect(found.routes[0].route.retryPolicy).toEqual({ retryOn: 'unavailable', numRetries: 3, retryBackOff: { baseInterval: '0.999s', maxInterval: '0.999s' } });
    expect(found.warnings).toHaveLength(3);
    expect(routes([http({ retries: { ...base, attempts: 0, retryOn: [] } })]).routes[0].route.retryPolicy).toBeUndefined();
  });

  it('say which fields are lost', () => {
    const { warnings } = routes([http({ rewrite: { uri: '/x' }, mirrors: [{ host, subset: '', percent: 100 }], requestHeaders: { set: { a: 'b' }, add: {}, remove: [] } })]);
    expect(warnings).toEqual([expect.stringContaining('rewrite, headers, mirror')]);
  });
});

describe('clusters of gRPC clients', () => {
  const hash = (over: object) => trafficPolicy('lb', host, { policy: { ports: [], loadBalancer: { simple: 'default', ...over } } });

  it('put the wanted policy first and end with round robin', () => {
    const types = (config: { loadBalancingPolicy: { policies: { typedExtensionConfig: { name: string } }[] } }) => config.loadBalancingPolicy.policies.map((entry) => entry.typedExtensionConfig.name.split('.').pop());
    expect(types(cluster([one]).config)).toEqual(['wrr_locality']);
    expect(types(cluster([one, hash({ consistentHash: { header: 'x' } })]).config)).toEqual(['ring_hash', 'wrr_locality']);
    expect(types(cluster([one, hash({ consistentHash: { header: 'x', maglev: { tableSize: 65537 } } })]).config)).toEqual(['maglev', 'ring_hash', 'wrr_locality']);
    for (const simple of ['least-request', 'random', 'round-robin', 'passthrough']) cluster([one, hash({ simple })]);
  });

  it('name a ring size only to clients that take one', () => {
    const objects = [payments, one, hash({ consistentHash: { header: 'x', ring: { minimumSize: 2048 } } })];
    const ring = (userAgent: string) => {
      const context = contextOf(objects, { node: { userAgent } });
      const { policies } = generateJson(grpcProfile, 'cluster', name, context).loadBalancingPolicy;
      return { size: policies[0].typedExtensionConfig.typedConfig.minimumRingSize, warnings: context.warnings };
    };
    expect(ring('gRPC Go')).toEqual({ size: '2048', warnings: [] });
    expect(ring('gRPC Node Pure JS')).toEqual({ size: undefined, warnings: [expect.stringContaining('minimumRingSize')] });
  });

  it('have mTLS where the client has certificates and every endpoint speaks it', () => {
    expect(cluster([one]).config.transportSocket.typedConfig.commonTlsContext.validationContext.matchSubjectAltNames).toEqual([{ exact: 'spiffe://cluster.local/ns/default/sa/payments' }]);
    expect(cluster([one], { node: { hasIdentity: false } }).config.transportSocket).toBeUndefined();
    const anonymous = workload('p2', '10.0.0.2', { labels: { app: 'payments' } });
    expect(cluster([one, anonymous]).config.transportSocket).toBeUndefined();
  });

  it('are withheld where plain text would be the only way against the policy', () => {
    const strict = peerPolicy('default', { mode: 'strict' });
    const anonymous = workload('p2', '10.0.0.2', { labels: { app: 'payments' } });
    const mutual = trafficPolicy('tls', host, { policy: { ports: [], tls: { mode: 'istio-mutual', subjectAltNames: [], insecureSkipVerify: false } } });
    const simple = trafficPolicy('tls', host, { policy: { ports: [], tls: { mode: 'simple', subjectAltNames: [], insecureSkipVerify: false } } });
    const cases: [ModelObject[], boolean][] = [[[one, strict], false], [[one, anonymous, strict], true], [[one, mutual], false], [[one, anonymous, mutual], true], [[one, simple], true]];
    for (const [objects, hasIdentity] of cases) {
      const { config, warnings } = cluster(objects, { node: { hasIdentity } });
      expect(config).toBeUndefined();
      expect(warnings).toEqual([expect.stringContaining('withheld')]);
    }
  });

  it('answer a missing subset with a cluster without endpoints, not with 15 s of waiting', () => {
    const { config, warnings } = cluster([one], {}, `outbound|8080|nosuch|${host}`);
    expect(config.name).toBe(`outbound|8080|nosuch|${host}`);
    expect(warnings).toEqual([expect.stringContaining('no subset nosuch')]);
    expect(generateJson(grpcProfile, 'endpoint', `outbound|8080|nosuch|${host}`, contextOf([payments, one]))).toEqual({ clusterName: `outbound|8080|nosuch|${host}` });
  });

  it('name one DNS host at most', () => {
    const api = (endpoints: string[]) => service('api', { host: 'api.example.com', cluster: false, location: 'external', resolution: 'dns', selector: {}, ports: payments.ports, endpoints: endpoints.map((address, index) => workload(`e${index}`, address, { via: 'inline' })) });
    expect(cluster([api([])], {}, 'outbound|8080||api.example.com').config.type).toBe('LOGICAL_DNS');
    expect(cluster([api(['a.example.com'])], {}, 'outbound|8080||api.example.com').config.loadAssignment.endpoints[0].lbEndpoints[0].endpoint.address.socketAddress.address).toBe('a.example.com');
    expect(cluster([api(['1.2.3.4', '1.2.3.5'])], {}, 'outbound|8080||api.example.com').config.type).toBe('EDS');
    expect(cluster([api(['a.example.com', 'b.example.com'])], {}, 'outbound|8080||api.example.com').config).toBeUndefined();
  });
});
