import { describe, expect, it } from 'vitest';
import { routeRule, service, trafficPolicy } from '../model/fixture.js';
import type { ModelObject } from '../model/model-object.js';
import type { HttpMatch, HttpRoute } from '../model/route-rule.js';
import { contextOf, generateJson, type Json, type TestMesh } from './fixture.js';
import { weftProfile } from './profile/weft.js';

const host = 'shop.default.svc.cluster.local';
const name = `outbound|8080||${host}`;
const shop = service('shop', { ports: [{ number: 8080, name: 'http', protocol: 'http', targetPort: 8080 }] });
const v1 = { host, subset: 'v1', weight: 1 };

const match = (over: Partial<HttpMatch>): HttpMatch => ({ name: '', ignoreUriCase: false, headers: [], withoutHeaders: [], queryParams: [], sourceLabels: {}, ...over });
const http = (over: Partial<HttpRoute>): HttpRoute => ({ name: '', matches: [], action: { kind: 'route', destinations: [v1] }, mirrors: [], ...over });
const retries = { attempts: 2, retryOn: [], statusCodes: [], ignorePreviousHosts: true, remoteLocalities: false };

function routes(list: HttpRoute[], objects: ModelObject[] = [], mesh: TestMesh = {}) {
  const context = contextOf([shop, routeRule('shop', [host], { http: list }), ...objects], mesh);
  const config = generateJson(weftProfile, 'route', name, context);
  return { config, routes: (config.virtualHosts[0].routes ?? []) as Json[], context };
}

const names = (list: Json[]) => list.map((route) => route.name);

describe('routes', () => {
  it('end at the first that matches everything', () => {
    const all: Partial<HttpMatch>[] = [{}, { uri: { kind: 'prefix', value: '/' } }, { uri: { kind: 'regex', value: '*' } }, { uri: { kind: 'regex', value: '.*' } }];
    for (const one of all) expect(names(routes([http({ name: 'a', matches: [match(one), match({})] }), http({ name: 'b' })]).routes)).toEqual(['a']);
    const some: Partial<HttpMatch>[] = [{ uri: { kind: 'prefix', value: '/a' } }, { headers: [{ name: 'x', match: { kind: 'present' } }] }, { queryParams: [{ name: 'x', match: { kind: 'present' } }] }];
    for (const one of some) expect(names(routes([http({ name: 'a', matches: [match(one)] }), http({ name: 'b' })]).routes)).toEqual(['a', 'b']);
  });

  it('are those meant for the client: its labels, its namespace, the port it dials', () => {
    const list = [
      http({ name: 'labels', matches: [match({ sourceLabels: { app: 'web' } })] }),
      http({ name: 'namespace', matches: [match({ sourceNamespace: 'ops' })] }),
      http({ name: 'port', matches: [match({ port: 9090 })] }),
      http({ name: 'rest' }),
    ];
    expect(names(routes(list).routes)).toEqual(['rest']);
    expect(names(routes(list, [], { node: { labels: { app: 'web', x: 'y' } } }).routes)).toEqual(['labels']);
    expect(names(routes(list, [], { node: { namespace: 'ops' } }).routes)).toEqual(['namespace']);
    expect(names(routes([http({ name: 'port', matches: [match({ port: 8080, uri: { kind: 'exact', value: '/' } })] })]).routes)).toEqual(['port']);
    expect(JSON.stringify(routes(list, [], { node: { namespace: 'ops' } }).config)).not.toMatch(/source|ops/);
  });

  it('read the client’s labels only where a rule asks for them', () => {
    expect(routes([http({ matches: [match({ uri: { kind: 'exact', value: '/' } })] })]).context.facets).toEqual(new Set(['namespace']));
    expect(routes([http({ matches: [match({ sourceLabels: { app: 'web' } })] })]).context.facets).toContain('labels');
  });

  it('fall back to the service where the rule means no route for this client, and to 404 where it only does not match', () => {
    expect(names(routes([http({ name: 'a', matches: [match({ sourceNamespace: 'ops' })] })]).routes)).toEqual(['default']);
    expect(names(routes([http({ name: 'a', matches: [match({ uri: { kind: 'exact', value: '/a' } })] })]).routes)).toEqual(['a']);
    expect(names(routes([]).routes)).toEqual(['default']);
  });

  it('match what the rule says', () => {
    const [route] = routes([http({ name: 'r', matches: [match({
      name: 'm', uri: { kind: 'exact', value: '/a' }, ignoreUriCase: true, method: { kind: 'exact', value: 'GET' }, scheme: { kind: 'exact', value: 'https' }, authority: { kind: 'prefix', value: 'shop' },
      headers: [{ name: 'x', match: { kind: 'regex', value: 'a+' } }], withoutHeaders: [{ name: 'y', match: { kind: 'present' } }, { name: 'z', match: { kind: 'exact', value: '1' } }],
      queryParams: [{ name: 'q', match: { kind: 'present' } }, { name: 'p', match: { kind: 'prefix', value: '1' } }],
    })] })]).routes;
    expect(route.name).toBe('r.m');
    expect(route.match).toEqual({
      path: '/a',
      caseSensitive: false,
      headers: [
        { name: ':scheme', stringMatch: { exact: 'https' } },
        { name: ':method', stringMatch: { exact: 'GET' } },
        { name: ':authority', stringMatch: { prefix: 'shop' } },
        { name: 'x', stringMatch: { safeRegex: { regex: 'a+' } } },
        { name: 'y', presentMatch: true, invertMatch: true },
        { name: 'z', stringMatch: { exact: '1' }, invertMatch: true, treatMissingHeaderAsEmpty: true },
      ],
      queryParameters: [{ name: 'q', presentMatch: true }, { name: 'p', stringMatch: { prefix: '1' } }],
    });
  });

  it('keep the dialled port, a missing subset and another host’s cluster as they are written', () => {
    const clusters = (destinations: { host: string; subset: string; port?: number }[]) => destinations.map((one) => routes([http({ action: { kind: 'route', destinations: [{ ...one, weight: 0 }] } })]).routes[0].route.cluster);
    expect(clusters([{ host, subset: '' }, { host, subset: 'nosuch' }, { host: 'other.ns.svc.cluster.local', subset: '', port: 9090 }])).toEqual([name, `outbound|8080|nosuch|${host}`, 'outbound|9090||other.ns.svc.cluster.local']);
  });

  it('share by weight, and send nothing where all weights are 0', () => {
    const weighted = (weights: number[]) => routes([http({ action: { kind: 'route', destinations: weights.map((weight, index) => ({ host, subset: `v${index}`, weight })) } })]).routes[0];
    expect(weighted([80, 20]).route.weightedClusters).toMatchObject({ clusters: [{ weight: 80 }, { weight: 20 }], totalWeight: 100 });
    expect(weighted([0, 7]).route.cluster).toBe(`outbound|8080|v1|${host}`);
    expect(weighted([0, 0]).directResponse).toEqual({ status: 503 });
  });

  it('keep the header edits of an only destination apart from the route’s own', () => {
    const edits = (value: string) => ({ set: { a: value }, add: {}, remove: [] });
    const [route] = routes([http({ requestHeaders: edits('route'), action: { kind: 'route', destinations: [{ ...v1, requestHeaders: edits('destination') }] } })]).routes;
    expect(route.requestHeadersToAdd[0].header.value).toBe('route');
    expect(route.route.weightedClusters.clusters[0].requestHeadersToAdd[0].header.value).toBe('destination');
  });

  it('retry as the rule says', () => {
    const policy = (over: object) => routes([http({ retries: { ...retries, ...over } })]).routes[0].route.retryPolicy;
    expect(policy({ attempts: 0 })).toBeUndefined();
    expect(policy({ statusCodes: [503] })).toMatchObject({ retryOn: 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes', retriableStatusCodes: [503], numRetries: 2 });
    expect(policy({ retryOn: ['reset'], statusCodes: [500], perTryTimeoutMs: 30, backoffMs: 1500, attempts: 4, ignorePreviousHosts: false })).toEqual({
      retryOn: 'reset,retriable-status-codes', retriableStatusCodes: [500], perTryTimeout: '0.030s', retryBackOff: { baseInterval: '1.500s' }, numRetries: 4,
    });
  });

  it('carry the hash key of their destination, and then retry on the same host', () => {
    const hash = trafficPolicy('shop', host, { policy: { ports: [], loadBalancer: { simple: 'default', consistentHash: { header: 'x-user' } } } });
    const [route] = routes([http({})], [hash]).routes;
    expect(route.route.hashPolicy).toEqual([{ header: { headerName: 'x-user' } }]);
    expect(route.route.retryPolicy.retryHostPredicate).toBeUndefined();
  });

  it('inject faults only where a percentage says so', () => {
    const faults = (fault: HttpRoute['fault']) => {
      const { routes: [route], context } = routes([http({ fault: fault! })]);
      const filters = generateJson(weftProfile, 'listener', 'shop:8080', context).apiListener.apiListener.httpFilters;
      return { config: route.typedPerFilterConfig?.['envoy.filters.http.fault'], filters: filters.map((filter: Json) => filter.name) };
    };
    expect(faults({ abort: { httpStatus: 500, percent: 0 } })).toEqual({ config: undefined, filters: ['envoy.filters.http.router'] });
    expect(faults({ delay: { fixedMs: 100, percent: 0.0001 }, abort: { grpcStatus: 14, percent: 100 } })).toMatchObject({
      config: { delay: { fixedDelay: '0.100s', percentage: { numerator: 1, denominator: 'MILLION' } }, abort: { grpcStatus: 14, percentage: { numerator: 1000000, denominator: 'MILLION' } } },
      filters: ['envoy.filters.http.fault', 'envoy.filters.http.router'],
    });
  });

  it('allow direct responses as large as they are', () => {
    const answer = (size: number) => routes([http({ action: { kind: 'direct-response', status: 200, body: new Uint8Array(size) } })]).config.maxDirectResponseBodySizeBytes;
    expect([answer(10), answer(5000)]).toEqual([undefined, 5000]);
  });

  it('redirect without writing a scheme’s own port', () => {
    const redirect = (over: object) => routes([http({ action: { kind: 'redirect', status: 302, ...over } })]).routes[0].redirect;
    expect(redirect({ scheme: 'https', port: 443, authority: 'a.example' })).toEqual({ schemeRedirect: 'https', hostRedirect: 'a.example', responseCode: 'FOUND' });
    expect(redirect({ port: 8443, prefixRewrite: '/v2' })).toEqual({ portRedirect: 8443, prefixRewrite: '/v2', responseCode: 'FOUND' });
  });

  it('of the rule that is exported to the client', () => {
    const hidden = routeRule('hidden', [host], { exportTo: ['other'], http: [http({ name: 'hidden' })] });
    const at = (namespace: string) => generateJson(weftProfile, 'route', name, contextOf([shop, hidden], { node: { namespace } })).virtualHosts[0].routes[0].name ?? '';
    expect([at('default'), at('other')]).toEqual(['default', 'hidden']);
  });
});
