import { expect, it } from 'vitest';
import { authorization, routeRule, service, trafficPolicy, workload, workloadGroup } from '../model/fixture.js';
import type { ModelObject } from '../model/model-object.js';
import type { RouteRule, StreamMatch, StreamRoute } from '../model/route-rule.js';
import { contextOf, generateJson, type Json, type TestMesh } from './fixture.js';
import { envoyProfile } from './profile/envoy.js';
import { grpcProfile } from './profile/grpc.js';
import { weftProfile } from './profile/weft.js';

const db = service('db', {
  addresses: ['10.1.0.1'],
  ports: [{ number: 5432, name: 'tcp', protocol: 'tcp', targetPort: 5432 }, { number: 443, name: 'https', protocol: 'https', targetPort: 8443 }, { number: 80, name: 'http', protocol: 'http', targetPort: 8080 }],
});

function listener(objects: readonly ModelObject[], name = 'db:5432', mesh: TestMesh = {}): Json {
  return generateJson(weftProfile, 'listener', name, contextOf([db, ...objects], mesh));
}

const proxies = (made: Json) => made.filterChains.map((chain: Json) => [chain.filterChainMatch?.serverNames, chain.filters[0].typedConfig.cluster ?? chain.filters[0].typedConfig.weightedClusters.clusters]);
const rule = (over: Partial<RouteRule>) => routeRule('db', [db.host], over);
const match = (over: Partial<StreamMatch> = {}): StreamMatch => ({ sniHosts: [], destinationSubnets: [], sourceLabels: {}, ...over });
const to = (host: string, weight = 1, subset = '') => ({ host, subset, weight });
const route = (destinations: StreamRoute['destinations'], ...matches: StreamMatch[]): StreamRoute => ({ matches, destinations });

it('a port of bytes goes to its service, HTTP ports stay API listeners', () => {
  const made = listener([]);
  expect(proxies(made)).toEqual([[undefined, `outbound|5432||${db.host}`]]);
  expect(made.apiListener).toBeUndefined();
  expect(listener([], 'db:80').apiListener).toBeDefined();
  expect(proxies(listener([], 'db:443'))).toEqual([[undefined, `outbound|443||${db.host}`]]);
});

it('of tcp routes the first that is meant for this client counts', () => {
  const tcp = [
    route([to('a.test')], match({ sourceLabels: { app: 'batch' } }), match({ port: 1 })),
    route([to('b.test')], match({ destinationSubnets: ['10.2.0.0/16'] })),
    route([to('c.test', 1), to('d.test', 3, 'v2')], match({ destinationSubnets: ['10.1.0.0/16'], port: 5432 })),
    route([to('e.test')]),
  ];
  expect(proxies(listener([rule({ tcp })]))).toEqual([[undefined, [{ name: 'outbound|5432||c.test', weight: 1 }, { name: 'outbound|5432|v2|d.test', weight: 3 }]]]);
  expect(proxies(listener([rule({ tcp })], 'db:5432', { node: { labels: { app: 'batch' } } }))[0][1]).toBe('outbound|5432||a.test');
  expect(proxies(listener([rule({ tcp: tcp.slice(0, 2) })]))[0][1]).toBe(`outbound|5432||${db.host}`);
  // Ports of TLS are routed by `tls`.
  expect(proxies(listener([rule({ tcp })], 'db:443'))[0][1]).toBe(`outbound|443||${db.host}`);
});

it('tls routes are chains by server name, each name once', () => {
  const tls = [route([to('a.test')], match({ sniHosts: ['a.test', '*.a.test'] })), route([to('b.test')], match({ sniHosts: ['a.test', 'b.test'] })), route([to('c.test')], match({ sniHosts: ['*'] }))];
  expect(proxies(listener([rule({ tls })], 'db:443'))).toEqual([[['a.test', '*.a.test'], 'outbound|443||a.test'], [['b.test'], 'outbound|443||b.test'], [undefined, 'outbound|443||c.test']]);
});

it('the limits of the connection pool and the hash of the caller are the proxy\'s', () => {
  const policy = trafficPolicy('db', db.host, { policy: { ports: [], connectionPool: { tcpIdleTimeoutMs: 5000, maxConnectionDurationMs: 60_000, maxConnections: 7 }, loadBalancer: { simple: 'default', consistentHash: { sourceIp: true } } } as never });
  expect(listener([policy]).filterChains[0].filters[0].typedConfig).toMatchObject({ idleTimeout: '5s', maxDownstreamConnectionDuration: '60s', hashPolicy: [{ sourceIp: {} }] });
  const cluster = generateJson(weftProfile, 'cluster', `outbound|5432||${db.host}`, contextOf([db, policy]));
  expect(cluster.circuitBreakers.thresholds[0].maxConnections).toBe(7);
  expect(cluster.transportSocketMatches[0].transportSocket.typedConfig.commonTlsContext.alpnProtocols).toEqual(['istio']);
});

it('gRPC clients are not told; an Envoy has one service a port', () => {
  const context = contextOf([db]);
  expect(weftProfile.names('listener', context)).toEqual([`${db.host}:5432`, `${db.host}:443`, `${db.host}:80`]);
  expect(weftProfile.names('cluster', context)).toContain(`outbound|5432||${db.host}`);
  expect(grpcProfile.names('cluster', context)).toEqual([`outbound|80||${db.host}`]);
  expect(grpcProfile.generate('listener', 'db:5432', context)).toBeUndefined();
  const tls = [route([to('a.test')], match({ sniHosts: ['a.test'] }))];
  const other = service('other', { ports: [{ number: 5432, name: 'tcp', protocol: 'tcp', targetPort: 5432 }, { number: 443, name: 'http', protocol: 'http', targetPort: 80 }] });
  const envoy = contextOf([db, other, rule({ tls })], { node: { portOffset: 10_000 } });
  expect(envoyProfile.names('listener', envoy)).toEqual(['127.0.0.1_80', '127.0.0.1_443', '127.0.0.1_5432']);
  const bytes = generateJson(envoyProfile, 'listener', '127.0.0.1_5432', envoy);
  expect([bytes.address.socketAddress.portValue, proxies(bytes)]).toEqual([15_432, [[undefined, `outbound|5432||${db.host}`]]]);
  expect(envoy.warnings).toContain(`${other.origin}: port 5432 of ${other.host}: an Envoy on loopback cannot tell it from ${db.host}, which has the port`);
  // HTTP has the port where anybody speaks it.
  expect(JSON.stringify(generateJson(envoyProfile, 'listener', '127.0.0.1_443', envoy))).toContain('HttpConnectionManager');
  const secure = generateJson(envoyProfile, 'listener', '127.0.0.1_443', contextOf([db, rule({ tls })]));
  expect([secure.listenerFilters[0].name, proxies(secure)]).toEqual(['envoy.filters.listener.tls_inspector', [[['a.test'], 'outbound|443||a.test']]]);
});

const group = workloadGroup('db', { ports: { tcp: 5432 } });
const registration = workload('db-1', '10.0.0.1', { labels: { app: 'db', version: 'v1' }, serviceAccount: 'db', via: 'registration', group: 'default/db', ports: { tcp: 5432 }, boundPorts: { tcp: 6000 } });
const inbound = (objects: readonly ModelObject[], name = 'weft/inbound/tcp/10.0.0.1:6000'): Json =>
  generateJson(weftProfile, 'listener', name, contextOf([db, group, registration, ...objects], { node: { workload: 'db', serviceAccount: 'db', addresses: ['10.0.0.1'] } }));

it('a server of bytes judges connections; what asks for HTTP drops the rule of an ALLOW and the field of a DENY', () => {
  const source = { principals: ['cluster.local/ns/default/sa/web'], notPrincipals: [], namespaces: [], notNamespaces: [], serviceAccounts: [], notServiceAccounts: [], ipBlocks: [], notIpBlocks: [] };
  const operation = { hosts: [], notHosts: [], ports: [5432], notPorts: [], methods: [], notMethods: [], paths: [], notPaths: [] };
  const policies = [
    authorization('allow', { rules: [{ from: [source], to: [operation], when: [] }, { from: [], to: [{ ...operation, methods: ['GET'] }], when: [] }] as never }),
    authorization('deny', { action: 'deny', rules: [{ from: [source], to: [{ ...operation, paths: ['/admin'] }], when: [{ key: 'request.headers[x]', values: ['1'], notValues: [] }] }] as never }),
  ];
  const made = inbound(policies);
  const [deny, allow, proxy] = made.filterChains[0].filters;
  expect(made.filterChains.map((chain: Json) => chain.filterChainMatch.transportProtocol)).toEqual(['tls', 'raw_buffer']);
  expect(proxy).toMatchObject({ name: 'envoy.filters.network.tcp_proxy', typedConfig: { cluster: 'inbound|5432||', idleTimeout: '0s' } });
  expect(Object.keys(allow.typedConfig.rules.policies)).toEqual(['ns[default]-policy[allow]-rule[0]']);
  expect(allow.typedConfig.rules.policies['ns[default]-policy[allow]-rule[0]'].permissions).toEqual([{ destinationPort: 6000 }]);
  expect(deny.typedConfig.rules.policies['ns[default]-policy[deny]-rule[0]'].permissions).toEqual([{ destinationPort: 6000 }]);
  expect(JSON.stringify(made)).not.toContain('header');
});

it('a port without a service speaks what its name says', () => {
  expect(JSON.stringify(inbound([], 'weft/inbound/redis/10.0.0.1:7000'))).toContain('TcpProxy');
  expect(JSON.stringify(inbound([], 'weft/inbound/admin/10.0.0.1:7000'))).toContain('HttpConnectionManager');
});
