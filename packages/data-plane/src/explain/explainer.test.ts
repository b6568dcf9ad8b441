import { afterEach, describe, expect, it } from 'vitest';
import { ads, assignment, bytesListener, clientListener, cluster, endpoint, faultConfig, locality, router, routes } from '../resource/testing.js';
import { Explainer, type ExplainRequest } from './explainer.js';

type Routes = Parameters<typeof routes>[0];

const explainers: Explainer[] = [];
afterEach(() => explainers.splice(0).forEach((explainer) => explainer.close()));

function explainerOf(list: Routes, more: Record<string, Uint8Array> = {}, init: Parameters<typeof routes>[1] = {}): Explainer {
  const values: Record<string, Uint8Array> = {
    'Listener payments:80': clientListener({}, 'payments:80'), 'RouteConfiguration routes': routes(list, init),
    'Cluster c': cluster(), 'Cluster d': cluster({ name: 'd' }), ...more,
  };
  const explainer = new Explainer({ get: (typeUrl, name) => values[`${typeUrl.split('.').at(-1)} ${name}`] });
  explainers.push(explainer);
  return explainer;
}
const explain = async (explainer: Explainer, request: Partial<ExplainRequest> = {}) => (await explainer.explain({ url: 'http://payments/pay?x=1', ...request })).explanation;
const prefix = (value: string) => ({ pathSpecifier: { case: 'prefix', value } }) as const;
const to = (name: string, more: object = {}) => ({ case: 'route', value: { clusterSpecifier: { case: 'cluster', value: name }, ...more } }) as never;
const add = (key: string, value: string, appendAction = 0) => ({ header: { key, value }, appendAction });

describe('an explanation', () => {
  it('says where a request goes and as what it is sent', async () => {
    const explainer = explainerOf([{
      name: 'pay', match: prefix('/pay'), requestHeadersToAdd: [add('X-Path', '%REQ(:path)%'), add('x-set', 'a', 2), add('x-path', 'again')], requestHeadersToRemove: ['x-secret'], responseHeadersToAdd: [add('x-answer', '%REQ(x-user)%')],
      action: to('c', { prefixRewrite: '/v2', hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: 'other' }, timeout: { seconds: 3n }, retryPolicy: { retryOn: '5xx,reset', numRetries: 4, perTryTimeout: { seconds: 1n } } }),
    }]);
    const { explanation, sent, response } = await explainer.explain({ url: 'http://payments/pay?x=1', headers: [['X-User', 'me'], ['x-secret', 's']] });
    expect(explanation).toEqual({
      listener: 'payments:80', virtualHost: 'v', route: 'pay', action: 'route', cluster: 'c', path: '/v2?x=1', authority: 'other',
      requestHeaders: { set: { 'x-set': 'a' }, append: { 'x-path': ['/pay?x=1', 'again'] }, remove: ['x-secret'] }, responseHeaders: { set: {}, append: { 'x-answer': 'me' }, remove: [] },
      timeoutMs: 3000, retry: { on: '5xx,reset', attempts: 4, perTryTimeoutMs: 1000 }, why: [],
    });
    expect(Object.keys(explanation).at(-1)).toBe('why');
    expect([sent?.headers.get('x-envoy-original-path'), response]).toEqual(['/pay?x=1', { status: 200, headers: [['x-answer', 'me']] }]);
  });

  it('names for every route passed over the first matcher that said no', async () => {
    const header = { name: 'x-user', headerMatchSpecifier: { case: 'stringMatch', value: { matchPattern: { case: 'exact', value: 'beta' } } } } as const;
    const explainer = explainerOf([
      { name: 'beta', match: { ...prefix('/pay'), headers: [header] }, action: to('d') },
      { match: { ...prefix('/'), queryParameters: [{ name: 'y' }] }, action: to('d') },
      { match: prefix('/other'), action: to('d') },
      { match: { ...prefix('/'), grpc: {} }, action: to('d') },
    ]);
    expect(await explain(explainer)).toMatchObject({
      action: 'none', status: 404, virtualHost: 'v',
      why: ['route beta: header x-user exact "beta", the request has none', 'route #1: query parameter y is present, the request has none', 'route #2: path prefix "/other", the request has "/pay"', 'route #3: gRPC, the request has content-type none', 'no route matches'],
    });
    expect((await explain(explainer, { headers: [['x-user', 'alpha']] })).why[0]).toBe('route beta: header x-user exact "beta", the request has "alpha"');
  });

  it('says why other virtual hosts are not meant', async () => {
    const explainer = explainerOf([], {}, { virtualHosts: [
      { name: 'any', domains: ['*'], routes: [] }, { name: 'other', domains: ['other', '*.other'], routes: [] }, { name: 'mine', domains: ['payments'], routes: [{ match: prefix(''), action: to('c') }] },
    ] });
    expect(await explain(explainer)).toMatchObject({ virtualHost: 'mine', route: '#0', why: ['virtual host any: domain "*" matches, "payments" of mine is more specific', 'virtual host other: domains "other", "*.other", the request has authority "payments"'] });
    expect(await explain(explainer, { headers: [['Host', 'a.other']] })).toMatchObject({ status: 404, action: 'none' });
  });

  it('takes all choices from the given number, modulo what is asked for', async () => {
    const weighted = (a: number, b: number) => ({ case: 'route', value: { clusterSpecifier: { case: 'weightedClusters', value: { clusters: [{ name: 'c', weight: a }, { name: 'd', weight: b }] } } } }) as const;
    const half = { defaultValue: { numerator: 50 } };
    const explainer = explainerOf([{ name: 'half', match: { ...prefix('/half'), runtimeFraction: half }, action: to('c') }, { match: prefix(''), action: weighted(30, 70) as never }]);
    const at = async (random: bigint | number) => (await explain(explainer, { random })).cluster;
    // 2^64 - 1 is 15 modulo 100: more than 53 bits are not rounded.
    expect([await at(29), await at(30), await at(129), await at(2n ** 64n - 1n), await at(2n ** 64n - 17n)]).toEqual(['c', 'd', 'c', 'c', 'd']);
    const halved = (random: number) => explain(explainer, { url: 'http://payments/half', random });
    expect(await halved(149)).toMatchObject({ route: 'half', why: [] });
    expect(await halved(150)).toMatchObject({ route: '#1', cluster: 'd', clusters: [{ name: 'c', weight: 30 }, { name: 'd', weight: 70 }], why: ['route half: runtime_fraction 50 of 100, the request has drawn 50'] });
  });

  it('is made although a cluster has no endpoints, and names the endpoint of a hash where there are some', async () => {
    const hashed = { action: to('c', { hashPolicy: [{ policySpecifier: { case: 'header', value: { headerName: 'x-user' } } }] }), match: prefix('') };
    const request = { headers: [['x-user', 'me']] as const };
    const without = await explain(explainerOf([hashed]), request);
    expect(without).toMatchObject({ cluster: 'c', hash: expect.stringMatching(/^\d+$/) as string });
    expect(without.host ?? without.status).toBeUndefined();
    const endpoints = assignment([locality('z', [endpoint('10.0.0.1'), endpoint('10.0.0.2'), endpoint('10.0.0.3')])]);
    const ring = explainerOf([hashed], { 'Cluster c': cluster({ lbPolicy: 2 }), 'ClusterLoadAssignment c': endpoints });
    const { hash, host } = await explain(ring, request);
    expect([hash, host]).toEqual([without.hash, expect.stringMatching(/^10\.0\.0\.[123]:8080$/)]);
    expect((await explain(ring)).hash).toBeUndefined();
  });

  it('says of a missing cluster that it is missing', async () => {
    expect(await explain(explainerOf([{ match: prefix(''), action: to('nowhere') }]))).toMatchObject({ action: 'route', cluster: 'nowhere', status: 503, why: [expect.stringMatching(/^no cluster nowhere/) as string] });
  });

  it('finds a cluster that only a header names', async () => {
    const byHeader = { match: prefix(''), action: { case: 'route', value: { clusterSpecifier: { case: 'clusterHeader', value: 'X-Cluster' } } } } as never;
    const explainer = explainerOf([byHeader]);
    expect(await explain(explainer, { headers: [['x-cluster', 'd']] })).toMatchObject({ cluster: 'd', path: '/pay?x=1', why: [] });
    expect(await explain(explainer, { headers: [['x-cluster', 'nowhere']] })).toMatchObject({ cluster: 'nowhere', status: 503 });
    const without = await explain(explainer);
    expect([without.action, without.status, without.cluster]).toEqual(['route', 503, undefined]);
  });

  it('tells redirects and direct answers, with the headers they get', async () => {
    const explainer = explainerOf([
      { match: prefix('/pay'), action: { case: 'redirect', value: { hostRedirect: 'b', responseCode: 3, pathRewriteSpecifier: { case: 'pathRedirect', value: '/new' } } }, responseHeadersToAdd: [add('x-a', '1')] },
      { match: prefix(''), action: { case: 'directResponse', value: { status: 418 } } },
    ]);
    expect(await explain(explainer)).toMatchObject({ action: 'redirect', status: 307, location: 'http://b/new?x=1', responseHeaders: { append: { 'x-a': '1' } } });
    expect(await explain(explainer, { url: 'http://payments/' })).toMatchObject({ action: 'direct_response', status: 418 });
  });

  it('gives the verdict of each filter, without waiting for delays', async () => {
    const percentage = { numerator: 10 };
    const config = { delay: { faultDelaySecifier: { case: 'fixedDelay', value: { seconds: 60n } }, percentage }, abort: { errorType: { case: 'httpStatus', value: 418 }, percentage: { numerator: 5 } } };
    const fault = { name: 'fault', configType: { case: 'typedConfig', value: faultConfig(config as never) } } as const;
    const more = { 'Listener payments:80': clientListener({ httpFilters: [fault, router], routeSpecifier: { case: 'rds', value: { configSource: ads, routeConfigName: 'routes' } } }, 'payments:80') };
    const explainer = explainerOf([{ match: prefix('/off'), action: to('c'), typedPerFilterConfig: { fault: faultConfig() } }, { match: prefix(''), action: to('c') }], more);
    const verdict = async (random: number, url = 'http://payments/') => { const { filters, status, path } = await explain(explainer, { url, random }); return [filters?.[0]?.verdict, status, path]; };
    expect(await verdict(4)).toEqual(['delay 60000 ms, 418 fault_filter_abort', 418, undefined]);
    expect(await verdict(5)).toEqual(['delay 60000 ms, continue', undefined, '/']);
    expect(await verdict(10)).toEqual(['continue', undefined, '/']);
    expect(await verdict(4, 'http://payments/off')).toEqual(['nothing to do', undefined, '/off']);
  });

  it('of a host that the mesh does not know, or whose resources it would refuse, says so', async () => {
    const explainer = explainerOf([], { 'Listener bad:80': clientListener({ httpFilters: [] }, 'bad:80') });
    expect(await explain(explainer, { url: 'http://nobody/' })).toEqual({ action: 'none', why: ['listener nobody:80: there is none; the mesh does not know this host'] });
    const { explanation, error } = await explainer.explain({ url: 'http://bad/' });
    expect([explanation.action, explanation.why[0], error?.message]).toEqual(['none', expect.stringContaining('http_filters: must not be empty'), expect.stringContaining('http_filters')]);
  });

  it('counts all retries, also where its own answer would be one to retry', async () => {
    const explainer = explainerOf([{ match: prefix(''), action: to('c', { retryPolicy: { retryOn: 'retriable-status-codes', numRetries: 3, retriableStatusCodes: [200] } }) }]);
    expect((await explain(explainer)).retry).toEqual({ on: 'retriable-status-codes', attempts: 3 });
  });

  it('leaves nothing behind that the next one depends on', async () => {
    const explainer = explainerOf([{ match: prefix(''), action: to('c') }]);
    const first = await explain(explainer);
    for (let i = 0; i < 2000; i++) await explain(explainer);
    expect(await explain(explainer)).toEqual(first);
  });
});

it('a port of bytes says which cluster a connection goes to, and that HTTP is an error', async () => {
  const explainer = explainerOf([], { 'Listener db:5432': bytesListener('db:5432', 'c'), 'Listener a.test:443': bytesListener('a.test:443', 'c', ['a.test']), 'Listener b.test:443': bytesListener('b.test:443', 'c', ['a.test']) });
  expect(await explain(explainer, { url: 'http://db:5432/' })).toEqual({ listener: 'db:5432', action: 'none', cluster: 'c', why: [expect.stringContaining('dialled by HTTP')] });
  expect(await explain(explainer, { url: 'https://a.test/' })).toEqual({ listener: 'a.test:443', action: 'route', cluster: 'c', why: [expect.stringContaining('own TLS')] });
  expect(await explain(explainer, { url: 'https://b.test/' })).toEqual({ listener: 'b.test:443', action: 'none', why: ['no chain for the server name b.test'] });
});
