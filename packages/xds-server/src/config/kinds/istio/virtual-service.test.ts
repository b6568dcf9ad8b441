import { describe, expect, it } from 'vitest';
import { kindText, normalizeText, only } from '../../testing.js';

const text = (spec: string, metadata?: string) => kindText('networking.istio.io/v1', 'VirtualService', spec, metadata);
const rule = (http: string) => only('route-rule', text(`{hosts: [a], http: [${http}]}`)).http;
const problems = (http: string) => normalizeText(text(`{hosts: [a], http: [${http}]}`)).problems.map((line) => line.replace(/^(warning: )?\S+ VirtualService default\/x: /, '$1'));
const to = 'route: [{destination: {host: b}}]';

describe('hosts', () => {
  it('without dots are services of the namespace of the object, and so are destinations', () => {
    const found = only('route-rule', text('{hosts: [Payments, api.example.com., "*.example.com"], http: [{route: [{destination: {host: orders, subset: v1, port: {number: 8080}}}]}]}', 'name: x, namespace: shop'));
    expect(found.hosts).toEqual(['payments.shop.svc.cluster.local', 'api.example.com', '*.example.com']);
    expect(found.http[0]?.action).toEqual({ kind: 'route', destinations: [{ host: 'orders.shop.svc.cluster.local', subset: 'v1', port: 8080, weight: 1 }] });
    expect(found).toMatchObject({ key: 'VirtualService/shop/x', origin: 'VirtualService shop/x', namespace: 'shop', createdAt: 0 });
  });

  it('are required and must be names', () => {
    expect(normalizeText(text('{http: []}')).problems[0]).toMatch(/spec.hosts: is required/);
    expect(normalizeText(text('{hosts: ["a b", "x.*.y"]}')).problems).toHaveLength(2);
  });

  it.each(['v1', 'v1beta1', 'v1alpha3'])('mean the same under %s', (version) => {
    expect(only('route-rule', kindText(`networking.istio.io/${version}`, 'VirtualService', `{hosts: [a], http: [{${to}}]}`)).http).toHaveLength(1);
  });
});

describe('delegates', () => {
  it('are named with their namespace, and keep their place among the routes', () => {
    const found = only('route-rule', text(`{hosts: [a], http: [{name: first, ${to}}, {name: handed, match: [{uri: {prefix: /a}}], timeout: 1s, delegate: {name: d}}, {${to}}, {delegate: {name: e, namespace: other}}]}`, 'name: x, namespace: shop'));
    expect(found.http.map(({ name }) => name)).toEqual(['first', '']);
    expect(found.delegations).toMatchObject([{ namespace: 'shop', delegate: 'd', at: 1, index: 1, name: 'handed', timeoutMs: 1000, matches: [{ uri: { value: '/a' } }] }, { namespace: 'other', delegate: 'e', at: 2, index: 3 }]);
  });

  it('have http routes and nothing else', () => {
    expect(only('route-delegate', text(`{exportTo: [., x], http: [{${to}}]}`, 'name: d, namespace: shop'))).toMatchObject({ exportTo: ['shop', 'x'], http: [{ action: { destinations: [{ host: 'b.shop.svc.cluster.local' }] } }] });
    expect(normalizeText(text(`{gateways: [mesh], http: [{delegate: {name: e}}, {${to}}]}`)).problems).toEqual([
      expect.stringContaining('spec.gateways: cannot be in an object without hosts') as string,
      expect.stringContaining('spec.http[0].delegate: an object without hosts cannot delegate again') as string,
    ]);
  });
});

describe('exportTo', () => {
  it.each([['', ['*']], ['exportTo: ["*"],', ['*']], ['exportTo: [., other],', ['default', 'other']], ['exportTo: ["~"],', []]])('%s', (field, expected) => {
    expect(only('route-rule', text(`{hosts: [a], ${field} http: [{${to}}]}`)).exportTo).toEqual(expected);
  });
});

describe('gateways', () => {
  it('without mesh make the object have no effect, and a match too', () => {
    const { objects, problems: found } = normalizeText(text(`{hosts: [a], gateways: [edge], http: [{${to}}]}`));
    expect([objects, found.length]).toEqual([[], 1]);
    expect(rule(`{match: [{gateways: [edge], uri: {exact: /a}}, {gateways: [mesh], uri: {exact: /b}}], ${to}}`)[0]?.matches).toHaveLength(1);
    // Dropping every match must not turn the route into a catch-all.
    expect(rule(`{match: [{gateways: [edge]}], ${to}}, {name: rest, ${to}}`).map(({ name }) => name)).toEqual(['rest']);
  });
});

it('reads every kind of match', () => {
  const [route] = rule(`{name: r, match: [{name: m, uri: {prefix: /a}, ignoreUriCase: true, scheme: {exact: https}, method: {regex: "GET|PUT"}, authority: {exact: a},
    headers: {X-A: {exact: "1"}, x-b: {}, x-c: {regex: "*"}}, withoutHeaders: {x-d: {prefix: p}}, queryParams: {q: {regex: "a.*"}}, port: 80, sourceLabels: {app: w}, sourceNamespace: n}], ${to}}`);
  expect(route?.matches).toEqual([{
    name: 'm', uri: { kind: 'prefix', value: '/a' }, ignoreUriCase: true, scheme: { kind: 'exact', value: 'https' }, method: { kind: 'regex', value: 'GET|PUT' }, authority: { kind: 'exact', value: 'a' },
    headers: [{ name: 'x-a', match: { kind: 'exact', value: '1' } }, { name: 'x-b', match: { kind: 'present' } }, { name: 'x-c', match: { kind: 'present' } }],
    withoutHeaders: [{ name: 'x-d', match: { kind: 'prefix', value: 'p' } }], queryParams: [{ name: 'q', match: { kind: 'regex', value: 'a.*' } }],
    port: 80, sourceLabels: { app: 'w' }, sourceNamespace: 'n',
  }]);
});

it('leaves out destinations without weight, and one alone gets everything', () => {
  const weights = (route: string) => { const action = rule(`{route: [${route}]}`)[0]?.action; return action?.kind === 'route' && action.destinations.map(({ weight }) => weight); };
  expect(weights('{destination: {host: a}, weight: 3}, {destination: {host: b}}, {destination: {host: c}, weight: 1}')).toEqual([3, 1]);
  expect(weights('{destination: {host: a}, weight: 0}')).toEqual([1]);
  expect(problems('{route: [{destination: {host: a}}, {destination: {host: b}}]}')).toEqual(['spec.http[0].route: the weights sum to 0: no request would go anywhere']);
});

it('reads timeouts, retries, faults, mirrors, rewrites, headers and CORS', () => {
  const [route] = rule(`{${to}, timeout: 1.5s,
    retries: {attempts: 3, perTryTimeout: 250ms, retryOn: "5xx, 503,unavailable", backoff: 5ms, retryRemoteLocalities: true},
    fault: {delay: {fixedDelay: 2s, percentage: {value: 0.5}}, abort: {grpcStatus: UNAVAILABLE, percentage: {value: 10}}},
    mirrors: [{destination: {host: m}}, {destination: {host: n}, percentage: {value: 5}}, {destination: {host: off}, percentage: {value: 0}}],
    rewrite: {uri: /x, authority: y}, headers: {request: {set: {a: "1"}, add: {b: "2"}, remove: [c]}},
    corsPolicy: {allowOrigins: [{exact: "https://a"}], allowMethods: [GET], maxAge: 1h, allowCredentials: false, unmatchedPreflights: IGNORE}}`);
  expect(route).toMatchObject({
    timeoutMs: 1500,
    retries: { attempts: 3, perTryTimeoutMs: 250, retryOn: ['5xx', 'unavailable'], statusCodes: [503], backoffMs: 5, remoteLocalities: true, ignorePreviousHosts: true },
    fault: { delay: { fixedMs: 2000, percent: 0.5 }, abort: { grpcStatus: 14, percent: 10 } },
    mirrors: [{ host: 'm.default.svc.cluster.local', percent: 100 }, { host: 'n.default.svc.cluster.local', percent: 5 }],
    rewrite: { uri: '/x', authority: 'y' },
    requestHeaders: { set: { a: '1' }, add: { b: '2' }, remove: ['c'] },
    cors: { allowOrigins: [{ kind: 'exact', value: 'https://a' }], allowMethods: ['GET'], maxAgeSeconds: 3600, allowCredentials: false, ignoreUnmatchedPreflights: true },
  });
  expect(rule(`{${to}, mirror: {host: m, subset: v1}, mirrorPercentage: {value: 7}}`)[0]?.mirrors).toEqual([{ host: 'm.default.svc.cluster.local', subset: 'v1', percent: 7 }]);
});

it('reads redirects (301 unless told) and direct responses', () => {
  expect(rule('{redirect: {uri: /x, authority: a, scheme: https, derivePort: FROM_PROTOCOL_DEFAULT}}')[0]?.action).toEqual({ kind: 'redirect', status: 301, uri: '/x', authority: 'a', scheme: 'https', port: 443 });
  expect(rule('{directResponse: {status: 404, body: {string: no}}}')[0]?.action).toEqual({ kind: 'direct-response', status: 404, body: Uint8Array.from(Buffer.from('no')) });
  expect(rule('{directResponse: {status: 200, body: {bytes: AAE=}}}')[0]?.action).toMatchObject({ body: Uint8Array.from([0, 1]) });
});

describe('is refused, with the path of the field, for', () => {
  it.each([
    [`{${to}, timeuot: 1s}`, 'spec.http[0].timeuot: is not a known field'],
    [`{${to}, timeout: 1}`, 'spec.http[0].timeout: must be a string, not 1 (a number)'],
    [`{${to}, timeout: soon}`, 'spec.http[0].timeout: must be a duration such as 250ms, 1.5s or 1h30m, not "soon"'],
    [`{${to}, timeout: 10us}`, 'spec.http[0].timeout: must be at least 1ms, not 10us'],
    [`{${to}, redirect: {uri: /}}`, 'spec.http[0].redirect: cannot be set together with route'],
    ['{match: [{uri: {exact: /}}]}', 'spec.http[0].route: is required: one of route, redirect, directResponse and delegate'],
    ['{delegate: {}}', 'spec.http[0].delegate.name: is required'],
    [`{delegate: {name: x}, ${to}}`, 'spec.http[0].delegate: cannot be set together with route'],
    [`{match: [{uri: {regex: "a(?=b)"}}], ${to}}`, 'spec.http[0].match[0].uri.regex: (?=: RE2 has no look-around'],
    [`{match: [{uri: {exact: /, prefix: /}}], ${to}}`, 'spec.http[0].match[0].uri.prefix: cannot be set together with exact'],
    [`{match: [{uri: {}}], ${to}}`, 'spec.http[0].match[0].uri: needs one of exact, prefix and regex'],
    [`{match: [{headers: {uri: {exact: /}}}], ${to}}`, 'spec.http[0].match[0].headers.uri: is not a header: match it with the field uri'],
    [`{match: [{headers: {"@request.auth.claims.a": {exact: b}}}], ${to}}`, 'spec.http[0].match[0].headers["@request.auth.claims.a"]: matching JWT claims is not implemented'],
    [`{${to}, retries: {attempts: 1, retryOn: sometimes}}`, 'spec.http[0].retries.retryOn: "sometimes" is not a retry condition'],
    [`{${to}, headers: {request: {set: {Host: a}}}}`, 'spec.http[0].headers.request.set: Host cannot be changed here; use rewrite.authority for the host'],
    [`{${to}, headers: {response: {add: {a: "b\\r\\nc"}}}}`, 'spec.http[0].headers.response.add: the value of a has a line break or NUL'],
    [`{${to}, fault: {abort: {percentage: {value: 101}, httpStatus: 500}}}`, 'spec.http[0].fault.abort.percentage.value: must be between 0 and 100, not 101'],
    ['{route: [{destination: {host: "*.a"}}]}', 'spec.http[0].route[0].destination.host: a destination cannot be a wildcard'],
    ['{redirect: {redirectCode: 418}}', 'spec.http[0].redirect.redirectCode: must be one of 301, 302, 303, 307, 308, not 418'],
  ])('%s', (http, expected) => {
    expect(problems(http)).toEqual([expected]);
  });
});

describe('warns, but works, for', () => {
  it.each([
    [`{${to}, fault: {abort: {httpStatus: 500}}}`, 'warning: spec.http[0].fault.abort.percentage: is missing, so this fault never happens (set percentage.value)'],
    [`{${to}, retries: {retryOn: 5xx}}`, 'warning: spec.http[0].retries.attempts: is 0: nothing is retried, and the other settings have no effect'],
  ])('%s', (http, expected) => {
    expect(problems(http)).toEqual([expected]);
  });

});

describe('routes of connections', () => {
  const routes = (spec: string) => normalizeText(text(spec));

  it('have weights and matches; server names are hosts of the rule', () => {
    const { objects, problems: found } = routes(`{hosts: [a.test, "*.b.test"], tcp: [{match: [{port: 5432, destinationSubnets: [10.0.0.0/8]}], route: [{destination: {host: a.test, subset: v1}, weight: 1}, {destination: {host: a.test}, weight: 3}]}], tls: [{match: [{sniHosts: [A.test, c.b.test]}], ${to}}]}`);
    expect(found).toEqual([]);
    expect(objects[0]).toMatchObject({
      http: [],
      tcp: [{ matches: [{ port: 5432, destinationSubnets: ['10.0.0.0/8'], sniHosts: [] }], destinations: [{ host: 'a.test', subset: 'v1', weight: 1 }, { host: 'a.test', subset: '', weight: 3 }] }],
      tls: [{ matches: [{ sniHosts: ['a.test', 'c.b.test'] }] }],
    });
  });

  it.each([
    [`tcp: [{match: [{destinationSubnets: [10.0.0.0/33]}], ${to}}]`, 'spec.tcp[0].match[0].destinationSubnets[0]: 10.0.0.0/33 is no subnet'],
    ['tcp: [{match: [{port: 1}]}]', 'spec.tcp[0].route: is required'],
    [`tcp: [{route: [{destination: {host: a}, headers: {}}]}]`, 'spec.tcp[0].route[0].headers: is not a known field'],
    [`tls: [{${to}}]`, 'spec.tls[0].match: is required'],
    [`tls: [{match: [{sniHosts: [other.test]}], ${to}}]`, 'spec.tls[0].match[0].sniHosts[0]: other.test is none of the hosts'],
  ])('%s is refused', (spec, expected) => {
    expect(routes(`{hosts: [a.test], ${spec}}`).problems.join('\n')).toContain(expected);
  });
});
