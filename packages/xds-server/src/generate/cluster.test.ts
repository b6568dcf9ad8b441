import { describe, expect, it } from 'vitest';
import { peerPolicy, service, trafficPolicy, workload } from '../model/fixture.js';
import type { ModelObject } from '../model/model-object.js';
import type { ClientTls, TrafficPolicy } from '../model/traffic-policy.js';
import type { Locality } from '../model/workload.js';
import { contextOf, generateJson, type Json, type TestMesh } from './fixture.js';
import { weftProfile } from './profile/weft.js';

const host = 'shop.default.svc.cluster.local';
const shop = service('shop', { ports: [{ number: 80, name: 'http', protocol: 'http', targetPort: 8080 }, { number: 81, name: 'http-b', protocol: 'http', targetPort: 8081 }] });
const named = (subset = '', port = 80) => `outbound|${port}|${subset}|${host}`;
const at = (region: string, zone = '', subZone = ''): Locality => ({ region, zone, subZone });

function make(type: 'cluster' | 'endpoint', objects: ModelObject[], name = named(), mesh: TestMesh = {}) {
  const context = contextOf([shop, ...objects], mesh);
  return { config: generateJson(weftProfile, type, name, context) as Json, context };
}

const rule = (policy: Partial<TrafficPolicy>, subsets: { name: string; policy?: Partial<TrafficPolicy>; labels?: Record<string, string> }[] = [], over: object = {}) =>
  trafficPolicy('shop', host, { policy: { ports: [], ...policy }, subsets: subsets.map(({ name, policy: own, labels = {} }) => ({ name, labels, policy: { ports: [], ...own } })), ...over });
const tls = (over: Partial<ClientTls>): ClientTls => ({ mode: 'simple', subjectAltNames: [], insecureSkipVerify: false, ...over });
const instance = (name: string, address: string, over: object = {}) => workload(name, address, { labels: { app: 'shop' }, serviceAccount: 'shop', ...over });

describe('clusters', () => {
  it('take whole blocks: a subset’s over the top, a port’s instead of all', () => {
    const policy = rule(
      { loadBalancer: { simple: 'random' }, connectionPool: { connectTimeoutMs: 1000 }, ports: [{ port: 81, policy: { connectionPool: { maxRetries: 5 } } }] },
      [{ name: 'v1', policy: { connectionPool: { maxConnections: 7 }, ports: [{ port: 81, policy: { loadBalancer: { simple: 'round-robin' } } }] } }, { name: 'v2' }],
    );
    const facts = (subset: string, port: number) => {
      const { lbPolicy = 'ROUND_ROBIN', connectTimeout, circuitBreakers: { thresholds: [{ maxConnections, maxRetries }] } } = make('cluster', [policy], named(subset, port)).config;
      return [lbPolicy, connectTimeout, maxConnections, maxRetries];
    };
    const none = 2 ** 32 - 1;
    expect(facts('', 80)).toEqual(['RANDOM', '1s', none, none]);
    expect(facts('', 81)).toEqual(['LEAST_REQUEST', '10s', none, 5]);
    expect(facts('v1', 80)).toEqual(['RANDOM', '10s', 7, none]);
    expect(facts('v1', 81)).toEqual(['ROUND_ROBIN', '10s', none, none]);
    expect(facts('v2', 81)).toEqual(['LEAST_REQUEST', '10s', none, 5]);
  });

  it('of a client that the rule’s workloadSelector means, which alone reads its labels', () => {
    const selected = rule({ loadBalancer: { simple: 'random' } }, [], { workloadSelector: { app: 'web' } });
    const web = make('cluster', [selected], named(), { node: { labels: { app: 'web' } } });
    expect(web.config.lbPolicy).toBe('RANDOM');
    expect(web.context.facets).toContain('labels');
    expect(make('cluster', [selected]).config.lbPolicy).toBe('LEAST_REQUEST');
    expect(make('cluster', [rule({ loadBalancer: { simple: 'random' } })]).context.facets).not.toContain('labels');
  });

  it('exist for subsets that exist, with a warning for others', () => {
    expect(make('cluster', [rule({}, [{ name: 'v1' }])], named('v1')).config).toBeDefined();
    const missing = make('cluster', [rule({}, [{ name: 'v1' }])], named('v2'));
    expect(missing.config).toBeUndefined();
    expect(missing.context.warnings).toEqual(['DestinationRule default/shop: no subset v2 of shop.default.svc.cluster.local: its requests fail with 503']);
  });

  it('balance by peak EWMA, and warm endpoints up', () => {
    const peak = make('cluster', [rule({ loadBalancer: { simple: 'peak-ewma' } })]);
    expect(peak.config.loadBalancingPolicy.policies.map((policy: Json) => policy.typedExtensionConfig.typedConfig['@type'])).toEqual(['type.googleapis.com/weft.load_balancing.v1.PeakEwma']);
    expect(peak.context.warnings).toEqual([]);
    const warm = make('cluster', [rule({ loadBalancer: { simple: 'round-robin', warmup: { durationMs: 30_000 } } })]);
    expect(warm.config.roundRobinLbConfig).toEqual({ slowStartConfig: { slowStartWindow: '30s' } });
    expect(warm.context.warnings).toEqual([]);
    const tuned = make('cluster', [rule({ loadBalancer: { simple: 'default', warmup: { durationMs: 1000, minimumPercent: 25, aggression: 2 } } })]);
    expect(tuned.config.leastRequestLbConfig.slowStartConfig).toMatchObject({ minWeightPercent: { value: 25 }, aggression: { defaultValue: 2 } });
    const penal = make('cluster', [rule({ loadBalancer: { simple: 'peak-ewma', peakEwma: { decayMs: 5000, failurePenaltyMs: 1000 } } })]);
    expect(penal.config.loadBalancingPolicy.policies[0].typedExtensionConfig.typedConfig).toMatchObject({ decayTime: '5s', failurePenalty: '1s' });
  });

  it('hash consistently', () => {
    const hash = (consistentHash: object) => make('cluster', [rule({ loadBalancer: { simple: 'default', consistentHash } })]).config;
    expect(hash({ header: 'x' })).toMatchObject({ lbPolicy: 'RING_HASH', ringHashLbConfig: { minimumRingSize: '1024' } });
    expect(hash({ header: 'x', maglev: { tableSize: 251 } })).toMatchObject({ lbPolicy: 'MAGLEV', maglevLbConfig: { tableSize: '251' } });
  });

  it('hash client addresses where the Service has their affinity, unless a rule balances', () => {
    const sticky = service('shop', { ports: shop.ports, sessionAffinity: 'client-ip' });
    expect(make('cluster', [sticky]).config.lbPolicy).toBe('RING_HASH');
    expect(make('cluster', [sticky, rule({ loadBalancer: { simple: 'round-robin' } })]).config.lbPolicy).toBeUndefined();
    const route = (profile: typeof weftProfile) => generateJson(profile, 'route', named(), contextOf([sticky])).virtualHosts[0].routes[0].route;
    expect(route(weftProfile).hashPolicy).toEqual([{ connectionProperties: { sourceIp: true } }]);
  });

  it('eject at least one host, and never panic unless asked', () => {
    const { outlierDetection, commonLbConfig } = make('cluster', [rule({ outlierDetection: { consecutive5xx: 0, consecutiveGatewayErrors: 4, minHealthPercent: 20, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2 } })]).config;
    expect(outlierDetection).toEqual({
      consecutive5xx: 0, enforcingConsecutive5xx: 0, consecutiveGatewayFailure: 4, enforcingConsecutiveGatewayFailure: 100,
      splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailure: 2, enforcingConsecutiveLocalOriginFailure: 100, enforcingSuccessRate: 0, alwaysEjectOneHost: true,
    });
    expect(commonLbConfig).toEqual({ healthyPanicThreshold: { value: 20 } });
    expect(make('cluster', []).config).toMatchObject({ commonLbConfig: { healthyPanicThreshold: {} } });
  });

  it('keep connections alive and retry by budget as the rule says, also where a port has settings of its own', () => {
    const pool = { tcpKeepalive: { probes: 3, timeMs: 60_000, intervalMs: 5000 }, http2KeepAlive: { intervalMs: 10_000, timeoutMs: 2000 }, h2Upgrade: 'upgrade' } as const;
    const config = make('cluster', [rule({ connectionPool: pool, retryBudget: { percent: 12.5, minConcurrency: 7 } })]).config;
    expect(config.upstreamConnectionOptions).toEqual({ tcpKeepalive: { keepaliveProbes: 3, keepaliveTime: 60, keepaliveInterval: 5 } });
    expect(config.circuitBreakers.thresholds[0].retryBudget).toEqual({ budgetPercent: { value: 12.5 }, minRetryConcurrency: 7 });
    const options = config.typedExtensionProtocolOptions['envoy.extensions.upstreams.http.v3.HttpProtocolOptions'];
    expect(options.explicitHttpConfig.http2ProtocolOptions).toEqual({ connectionKeepalive: { interval: '10s', timeout: '2s' } });
    const ofPort = make('cluster', [rule({ retryBudget: {}, ports: [{ port: 80, policy: {} }] })]).config;
    expect(ofPort.circuitBreakers.thresholds[0].retryBudget).toEqual({});
  });

  it('speak the protocol of the client where the rule says so', () => {
    const config = make('cluster', [rule({ connectionPool: { useClientProtocol: true } })]).config;
    expect(config.typedExtensionProtocolOptions['envoy.extensions.upstreams.http.v3.HttpProtocolOptions'].useDownstreamProtocolConfig).toEqual({ httpProtocolOptions: {}, http2ProtocolOptions: {} });
  });

  it('send a PROXY header before whichever transport socket an endpoint gets', () => {
    const { transportSocketMatches } = make('cluster', [rule({ proxyProtocol: 'v2' })]).config;
    expect(transportSocketMatches.map(({ name, transportSocket }: Json) => [name, transportSocket.name, transportSocket.typedConfig.config, transportSocket.typedConfig.transportSocket.name])).toEqual([
      ['tlsMode-istio', 'envoy.transport_sockets.upstream_proxy_protocol', { version: 'V2' }, 'envoy.transport_sockets.tls'],
      ['tlsMode-disabled', 'envoy.transport_sockets.upstream_proxy_protocol', { version: 'V2' }, 'envoy.transport_sockets.raw_buffer'],
    ]);
    expect(make('cluster', [rule({ proxyProtocol: 'v1', tls: tls({ mode: 'disable' }) })]).config.transportSocket.typedConfig.transportSocket.name).toBe('envoy.transport_sockets.raw_buffer');
  });

  it('speak HTTP/2 where the port is gRPC or the policy upgrades', () => {
    const protocol = (config: Json) => Object.keys(config.typedExtensionProtocolOptions['envoy.extensions.upstreams.http.v3.HttpProtocolOptions'].explicitHttpConfig);
    const alpn = (config: Json) => config.transportSocketMatches[0].transportSocket.typedConfig.commonTlsContext.alpnProtocols;
    const upgraded = make('cluster', [rule({ connectionPool: { h2Upgrade: 'upgrade' } })]).config;
    expect([protocol(upgraded), alpn(upgraded)]).toEqual([['http2ProtocolOptions'], ['istio', 'h2']]);
    expect(protocol(make('cluster', []).config)).toEqual(['httpProtocolOptions']);
    const grpc = service('g', { ports: [{ number: 80, name: 'grpc', protocol: 'grpc', targetPort: 1 }] });
    expect(protocol(make('cluster', [grpc], 'outbound|80||g.default.svc.cluster.local').config)).toEqual(['http2ProtocolOptions']);
  });

  it('expect every account of the service, of all subsets, or what the client’s rule lists', () => {
    const names = (objects: ModelObject[], subset = '') => make('cluster', [instance('a', '10.0.0.1'), instance('b', '10.0.0.2', { serviceAccount: 'other' }), ...objects], named(subset)).config.transportSocketMatches[0].transportSocket.typedConfig.commonTlsContext.validationContext.matchSubjectAltNames.map((one: Json) => one.exact);
    const both = ['spiffe://cluster.local/ns/default/sa/other', 'spiffe://cluster.local/ns/default/sa/shop'];
    expect(names([])).toEqual(both);
    expect(names([rule({}, [{ name: 'v1', labels: { version: 'none' } }])], 'v1')).toEqual(both);
    expect(names([rule({ tls: tls({ mode: 'istio-mutual', subjectAltNames: ['spiffe://x/y'] }) })])).toEqual(['spiffe://x/y']);
    const nobody = make('cluster', []).config.transportSocketMatches[0].transportSocket.typedConfig.commonTlsContext.validationContext.matchSubjectAltNames;
    expect(nobody).toEqual([{ exact: 'spiffe://cluster.local/no-identity-known' }]);
  });

  it('use the client’s own TLS where its rule says so', () => {
    expect(make('cluster', [rule({ tls: tls({ mode: 'disable' }) })]).config).not.toHaveProperty('transportSocketMatches');
    const { transportSocket } = make('cluster', [rule({ tls: tls({ mode: 'mutual', sni: 'x.example', caCertificates: '/ca', clientCertificate: '/crt', privateKey: '/key' }) })]).config;
    expect(transportSocket.typedConfig).toMatchObject({
      sni: 'x.example',
      commonTlsContext: {
        tlsCertificates: [{ certificateChain: { filename: '/crt' }, privateKey: { filename: '/key' } }],
        validationContext: { trustedCa: { filename: '/ca' }, matchSubjectAltNames: [{ exact: 'x.example' }] },
      },
    });
  });
});

describe('endpoints', () => {
  const addresses = (config: Json) => (config.endpoints ?? []).map((group: Json) => group.lbEndpoints.map((one: Json) => one.endpoint.address.socketAddress.address));
  const all = [instance('a', '10.0.0.1', { locality: at('eu', 'eu-1', 'a') }), instance('b', '10.0.0.2', { locality: at('eu', 'eu-2') }), instance('c', '10.0.0.3', { locality: at('us', 'us-1') }), instance('d', '10.0.0.4', { locality: at('asia') })];
  const outliers = { outlierDetection: {} };
  const client = (locality: Locality, labels = {}): TestMesh => ({ node: { locality, labels } });
  const priorities = (config: Json) => config.endpoints.map((group: Json) => [group.priority ?? 0, group.lbEndpoints[0].endpoint.address.socketAddress.address.slice(-1)]);

  it('are those with the subset’s labels', () => {
    const v2 = instance('v2', '10.0.0.9', { labels: { app: 'shop', version: 'v2' } });
    expect(addresses(make('endpoint', [...all, v2, rule({}, [{ name: 'v2', labels: { version: 'v2' } }])], named('v2')).config)).toEqual([['10.0.0.9']]);
  });

  it('carry health and weight, and each address once', () => {
    const { config } = make('endpoint', [instance('a', '10.0.0.1', { health: 'unhealthy', weight: 3 }), instance('b', '10.0.0.2', { health: 'draining' }), instance('c', '10.0.0.1')]);
    expect(config.endpoints[0].loadBalancingWeight).toBe(4);
    expect(config.endpoints[0].lbEndpoints.map((one: Json) => [one.healthStatus, one.loadBalancingWeight])).toEqual([['UNHEALTHY', 3], ['DRAINING', 1]]);
  });

  it('are all of one priority without outlier detection, whatever the place of the client', () => {
    const { config, context } = make('endpoint', all, named(), client(at('eu', 'eu-1', 'a')));
    expect(config.endpoints.every((group: Json) => group.priority === undefined)).toBe(true);
    expect(context.facets).not.toContain('locality');
  });

  it('fail over by place, without gaps', () => {
    expect(priorities(make('endpoint', [...all, rule(outliers)], named(), client(at('eu', 'eu-1', 'a'))).config)).toEqual([[0, '1'], [1, '2'], [2, '4'], [2, '3']]);
    expect(priorities(make('endpoint', [...all, rule(outliers)], named(), client(at('us', 'us-9'))).config)).toEqual([[0, '3'], [1, '4'], [1, '1'], [1, '2']]);
    expect(priorities(make('endpoint', [...all, rule(outliers)], named(), client(at(''))).config).every(([priority]: [number]) => priority === 0)).toBe(true);
    const setting = { enabled: true, distribute: [], failover: [{ from: 'eu', to: 'us' }], failoverPriority: [] };
    const eu = client(at('eu', 'eu-2'));
    expect(priorities(make('endpoint', [...all, rule({ ...outliers, loadBalancer: { simple: 'default', locality: setting } })], named(), eu).config)).toEqual([[0, '2'], [1, '1'], [2, '3'], [3, '4']]);
    const off = { ...setting, enabled: false };
    expect(priorities(make('endpoint', [...all, rule({ ...outliers, loadBalancer: { simple: 'default', locality: off } })], named(), eu).config).map(([priority]: [number]) => priority)).toEqual([0, 0, 0, 0]);
  });

  it('fail over by label, the first that differs deciding', () => {
    const near = [instance('a', '10.0.0.1', { labels: { app: 'shop', rack: '1', row: '1' } }), instance('b', '10.0.0.2', { labels: { app: 'shop', rack: '1', row: '2' } }), instance('c', '10.0.0.3', { labels: { app: 'shop', rack: '2', row: '1' } })];
    const policy = rule({ ...outliers, loadBalancer: { simple: 'default', locality: { enabled: true, distribute: [], failover: [], failoverPriority: ['rack', 'row=1'] } } });
    expect(priorities(make('endpoint', [...near, policy], named(), client(at(''), { rack: '1' })).config)).toEqual([[0, '1'], [1, '2'], [2, '3']]);
  });

  it('by label do not look at places, unless `failover` asks for that too', () => {
    const far = [instance('a', '10.0.0.1', { locality: at('us') }), instance('b', '10.0.0.2', { labels: { app: 'shop', rack: '2' }, locality: at('eu') }), instance('c', '10.0.0.3', { labels: { app: 'shop', rack: '1' }, locality: at('eu') }), instance('d', '10.0.0.4', { labels: { app: 'shop', rack: '1' }, locality: at('us') })];
    const policy = (failover: { from: string; to: string }[]) => rule({ ...outliers, loadBalancer: { simple: 'default', locality: { enabled: true, distribute: [], failover, failoverPriority: ['rack'] } } });
    const eu = client(at('eu'), { rack: '1' });
    expect(priorities(make('endpoint', [...far, policy([])], named(), eu).config)).toEqual([[0, '3'], [0, '4'], [1, '2'], [1, '1']]);
    expect(priorities(make('endpoint', [...far, policy([{ from: 'eu', to: 'us' }])], named(), eu).config)).toEqual([[0, '3'], [1, '4'], [2, '2'], [3, '1']]);
  });

  it('near come first where the Service prefers them, without outlier detection, unless a rule says otherwise', () => {
    const prefers = (trafficDistribution: 'close' | 'same-zone') => service('shop', { ports: shop.ports, trafficDistribution });
    const eu = client(at('eu', 'eu-1', 'a'));
    const places = [instance('a', '10.0.0.1', { locality: at('eu', 'eu-1', 'a') }), instance('b', '10.0.0.2', { locality: at('eu', 'eu-1', 'b') }), instance('c', '10.0.0.3', { locality: at('eu', 'eu-2') }), instance('d', '10.0.0.4', { locality: at('us') })];
    expect(priorities(make('endpoint', [prefers('close'), ...places], named(), eu).config)).toEqual([[0, '1'], [1, '2'], [2, '3'], [3, '4']]);
    expect(priorities(make('endpoint', [prefers('same-zone'), ...places], named(), eu).config)).toEqual([[0, '1'], [0, '2'], [1, '3'], [2, '4']]);
    const off = rule({ loadBalancer: { simple: 'default', locality: { enabled: false, distribute: [], failover: [], failoverPriority: [] } } });
    expect(priorities(make('endpoint', [prefers('close'), ...places, off], named(), eu).config).map(([priority]: [number]) => priority)).toEqual([0, 0, 0, 0]);
  });

  it('leave zones to clients that balance by zone: only regions fail over', () => {
    const zoneAware = { enabled: true, minClusterSize: 2, failover: [], failoverPriority: [] };
    const policy = rule({ ...outliers, loadBalancer: { simple: 'default', zoneAware, locality: { enabled: true, distribute: [{ from: '*', to: { '*': 100 } }], failover: [], failoverPriority: [] } } });
    const eu = client(at('eu', 'eu-1', 'a'));
    expect(priorities(make('endpoint', [...all, policy], named(), eu).config).map(([priority]: [number]) => priority)).toEqual([0, 0, 1, 1]);
    expect(make('cluster', [...all, policy], named(), eu).config.commonLbConfig.zoneAwareLbConfig).toEqual({ minClusterSize: '2' });
    const off = rule({ loadBalancer: { simple: 'default', zoneAware: { ...zoneAware, enabled: false } } });
    expect(make('cluster', [...all, off], named(), eu).config.commonLbConfig.zoneAwareLbConfig).toEqual({ routingEnabled: {}, minClusterSize: '2' });
  });

  it('are shared out by place, without outlier detection too', () => {
    const policy = rule({ loadBalancer: { simple: 'default', locality: { enabled: true, distribute: [{ from: 'eu/eu-1/*', to: { 'eu/eu-1/*': 70, 'eu/*': 30, 'us/*': 0 } }], failover: [], failoverPriority: [] } } });
    const { config } = make('endpoint', [...all, policy], named(), client(at('eu', 'eu-1')));
    expect(config.endpoints.map((group: Json) => [group.locality.zone, group.loadBalancingWeight])).toEqual([['eu-1', 70], ['eu-2', 30]]);
    expect(make('cluster', [...all, policy], named(), client(at('eu', 'eu-1'))).config.commonLbConfig).toHaveProperty('localityWeightedLbConfig');
  });

  it('say who must be there, or that nobody can be', () => {
    const meta = (objects: ModelObject[]) => {
      const { istio: _, ...rest } = make('endpoint', objects).config.endpoints[0].lbEndpoints[0].metadata.filterMetadata;
      return rest;
    };
    const anonymous = workload('a', '10.0.0.1', { labels: { app: 'shop' } });
    const mtls = { 'envoy.transport_socket_match': { tlsMode: 'istio' }, weft: { spiffe_id: 'spiffe://cluster.local/ns/default/sa/shop' } };
    const strict = peerPolicy('default', { mode: 'strict' });
    expect(meta([instance('a', '10.0.0.1')])).toEqual(mtls);
    expect(meta([instance('a', '10.0.0.1'), peerPolicy('default', { mode: 'disable' })])).toEqual({});
    expect(meta([anonymous])).toEqual({});
    expect(meta([anonymous, strict])).toEqual({ weft: { identity_missing: true } });
    expect(meta([anonymous, rule({ tls: tls({ mode: 'istio-mutual' }) })])).toEqual({ weft: { identity_missing: true } });
    expect(meta([anonymous, strict, rule({ tls: tls({ mode: 'disable' }) })])).toEqual({});
  });

  it('take the mode of the declared port where the bound one is ephemeral', () => {
    const registered = instance('r', '10.0.0.1', { via: 'registration', group: 'default/shop', ports: { http: 8080 }, boundPorts: { http: 40123 } });
    const policy = peerPolicy('p', { selector: { app: 'shop' }, ports: { 8080: 'disable' } });
    const [endpoint] = make('endpoint', [registered, policy]).config.endpoints[0].lbEndpoints;
    expect(endpoint.endpoint.address.socketAddress.portValue).toBe(40123);
    expect(endpoint.metadata.filterMetadata).toEqual({ istio: { workload: 'shop;default;shop;latest;Kubernetes' } });
  });

  it('are left out, by name, where they are no addresses', () => {
    const { config, context } = make('endpoint', [instance('a', 'db.example.com'), instance('u', 'unix:///run/x.sock')]);
    expect(config.endpoints[0].lbEndpoints.map((one: Json) => one.endpoint.address)).toEqual([{ pipe: { path: '/run/x.sock' } }]);
    expect(context.warnings).toEqual([expect.stringContaining('db.example.com is not an IP address')]);
  });
});

describe('the roots', () => {
  it('are all of them, the active one first', () => {
    const context = contextOf([], { authorities: ['B\n', 'A'] });
    expect(generateJson(weftProfile, 'secret', 'ROOTCA', context)).toEqual({ name: 'ROOTCA', validationContext: { trustedCa: { inlineString: 'B\nA\n' } } });
    expect(weftProfile.generate('secret', 'default', context)).toBeUndefined();
    expect(weftProfile.generate('secret', 'ROOTCA', contextOf([]))).toBeUndefined();
  });
});
