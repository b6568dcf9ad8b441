import { packAny } from '@weft/xds-api';
import { AggregateClusterConfigSchema, Cluster_DiscoveryType as Type, Cluster_LbPolicy as LbPolicy, HttpProtocolOptionsSchema } from '@weft/xds-api/cluster';
import { LeastRequestSchema, RoundRobinSchema, WrrLocalitySchema } from '@weft/xds-api/load-balancing';
import { describe, expect, it } from 'vitest';
import { assignment, cluster, endpoint, locality, problemsOf, types } from './testing.js';

const decode = (init: Parameters<typeof cluster>[0]) => types.cluster.decode(cluster(init)).resource;
const policy = (typedConfig: ReturnType<typeof packAny>) => ({ typedExtensionConfig: { name: 'x', typedConfig } });
const stranger = { typeUrl: 't/no.Policy', value: new Uint8Array() } as never;
const least = packAny(LeastRequestSchema, { choiceCount: 3 });
const options = (init: object) => ({ typedExtensionProtocolOptions: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': packAny(HttpProtocolOptionsSchema, init as never) } });
const http = 'typed_extension_protocol_options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]';
const inlineEndpoints = (...addresses: string[]) => ({ endpoints: [{ lbEndpoints: addresses.map((address) => endpoint(address)) }] });
const ofType = (value: Type, init: object = {}) => cluster({ clusterDiscoveryType: { case: 'type', value }, ...init });
const outlier = (init: object) => cluster({ outlierDetection: init as never });

describe('clusters', () => {
  it("have Envoy's defaults", () => {
    const limits = { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 };
    expect(decode({})).toEqual({
      name: 'c', type: { kind: 'eds', serviceName: 'c' }, connectTimeoutMs: 5000, loadBalancing: { policy: 'envoy.load_balancing_policies.round_robin', config: { localityWeighted: false } },
      localityWeighted: false, healthyPanicThreshold: 50, thresholds: { default: limits, high: limits }, protocol: 'http1', idleTimeoutMs: 3_600_000,
      transportSockets: [{ name: '', match: {} }], overprovisioningFactor: 140, closeConnectionsOnHostHealthFailure: false, metadata: {},
    });
  });

  it('choose the first policy that is known, also within wrr_locality', () => {
    const inner = packAny(WrrLocalitySchema, { endpointPickingPolicy: { policies: [policy(stranger), policy(least)] } });
    expect(decode({ lbPolicy: LbPolicy.ROUND_ROBIN, loadBalancingPolicy: { policies: [policy(stranger), policy(inner), policy(packAny(RoundRobinSchema, {}))] } })).toMatchObject({
      localityWeighted: true, loadBalancing: { policy: 'envoy.load_balancing_policies.least_request', config: { choiceCount: 3 } },
    });
    expect(problemsOf(types.cluster, cluster({ loadBalancingPolicy: { policies: [policy(stranger)] } }))).toEqual(['load_balancing_policy: no load-balancing policy is known: no.Policy']);
  });

  it('read the limit of streams wherever HTTP/2 is configured', () => {
    const http2ProtocolOptions = { maxConcurrentStreams: 7 };
    for (const [chosen, protocol] of [['autoConfig', 'auto'], ['useDownstreamProtocolConfig', 'http1']] as const) expect(decode(options({ upstreamProtocolOptions: { case: chosen, value: { http2ProtocolOptions } } }))).toMatchObject({ protocol, maxConcurrentStreams: 7 });
    expect(decode({ http2ProtocolOptions })).toMatchObject({ protocol: 'http2', maxConcurrentStreams: 7 });
    const keepalive = { upstreamProtocolOptions: { case: 'explicitHttpConfig', value: { protocolConfig: { case: 'http2ProtocolOptions', value: { connectionKeepalive: {} } } } } };
    expect(problemsOf(types.cluster, cluster(options(keepalive)))).toEqual([`${http}.explicit_http_config.http2_protocol_options.connection_keepalive.timeout: is required`]);
  });

  it('read limits, protocol, outlier detection and what Istio says of them', () => {
    expect(decode({
      lbPolicy: LbPolicy.LEAST_REQUEST,
      circuitBreakers: { thresholds: [{ maxRequests: 7, retryBudget: { budgetPercent: { value: 5 } } }, { priority: 1, maxRetries: 0 }] },
      outlierDetection: { consecutive5xx: 0, interval: { seconds: 1n }, splitExternalLocalOriginErrors: true },
      commonLbConfig: { localityConfigSpecifier: { case: 'localityWeightedLbConfig', value: {} }, healthyPanicThreshold: { value: 0 } },
      metadata: { filterMetadata: { istio: { services: [{ host: 'h', name: 'n', namespace: 's' }] } } },
      ...options({ upstreamProtocolOptions: { case: 'explicitHttpConfig', value: { protocolConfig: { case: 'http2ProtocolOptions', value: { maxConcurrentStreams: 9 } } } }, commonHttpProtocolOptions: { idleTimeout: { seconds: 0n }, maxRequestsPerConnection: 4 } }),
    })).toMatchObject({
      loadBalancing: { policy: 'envoy.load_balancing_policies.least_request' }, localityWeighted: true, healthyPanicThreshold: 0,
      thresholds: { default: { maxRequests: 7, maxRetries: 3, retryBudget: { percent: 5, minConcurrency: 3 } }, high: { maxRequests: 1024, maxRetries: 0 } },
      outlierDetection: { consecutive5xx: 0, intervalMs: 1000, splitExternalLocalOriginErrors: true },
      service: { host: 'h', name: 'n', namespace: 's' }, protocol: 'http2', maxConcurrentStreams: 9, idleTimeoutMs: 0, maxRequestsPerConnection: 4,
    });
  });

  it('may carry their endpoints, as addresses or names', () => {
    expect(decode({ clusterDiscoveryType: { case: 'type', value: Type.STATIC }, loadAssignment: inlineEndpoints('10.0.0.1') }).type).toMatchObject({ kind: 'static', assignment: { localities: [{ weight: 1, endpoints: [{ address: '10.0.0.1' }] }] } });
    expect(decode({ clusterDiscoveryType: { case: 'type', value: Type.STRICT_DNS }, loadAssignment: inlineEndpoints('a.example', 'b.example'), dnsRefreshRate: { seconds: 9n } }).type).toMatchObject({ kind: 'strict-dns', dns: { family: 'auto', respectTtl: false, refreshMs: 9000 } });
  });

  it('may be made of other clusters', () => {
    expect(decode({ clusterDiscoveryType: { case: 'clusterType', value: { name: 'envoy.clusters.aggregate', typedConfig: packAny(AggregateClusterConfigSchema, { clusters: ['a', 'b'] }) } } }).type).toEqual({ kind: 'aggregate', clusters: ['a', 'b'] });
  });

  it.each<[string, Uint8Array, string]>([
    ['without a name', cluster({ name: '' }), 'name: must not be empty'],
    ['with endpoints from elsewhere', cluster({ edsClusterConfig: { edsConfig: { configSourceSpecifier: { case: 'path', value: '/x' } } } }), 'eds_cluster_config.eds_config: must be ads or self'],
    ['with an xdstp name and no service name', cluster({ name: 'xdstp://a/b' }), 'eds_cluster_config.service_name: is required where the name starts with xdstp:'],
    ['of a type that cannot be followed', ofType(Type.ORIGINAL_DST), 'type: ORIGINAL_DST is not supported: nothing redirects the connections of a process, so there is no original destination to go to; use EDS or STRICT_DNS, or a dynamic forward proxy cluster (envoy.clusters.dynamic_forward_proxy) to go wherever the authority says'],
    ['of an extension without configuration', cluster({ clusterDiscoveryType: { case: 'clusterType', value: { name: 'envoy.clusters.aggregate' } } }), 'cluster_type.typed_config: is required'],
    ['of an extension that Weft does not have', cluster({ clusterDiscoveryType: { case: 'clusterType', value: { name: 'envoy.clusters.redis', typedConfig: packAny(LeastRequestSchema, {}) } } }), 'cluster_type: "envoy.clusters.redis" is not supported'],
    ['of clusters, but none', cluster({ clusterDiscoveryType: { case: 'clusterType', value: { name: 'envoy.clusters.aggregate', typedConfig: packAny(AggregateClusterConfigSchema, {}) } } }), 'cluster_type.typed_config.clusters: must name a cluster'],
    ['that are static and empty', ofType(Type.STATIC), 'load_assignment: is required'],
    ['that are static with a name', ofType(Type.STATIC, { loadAssignment: inlineEndpoints('a.example') }), 'load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: "a.example" is not an IP address'],
    ['of LOGICAL_DNS with two endpoints', ofType(Type.LOGICAL_DNS, { loadAssignment: inlineEndpoints('a', 'b') }), 'load_assignment.endpoints: LOGICAL_DNS takes one locality with one endpoint'],
    ['with a connect timeout of 0', cluster({ connectTimeout: {} }), 'connect_timeout: must be greater than 0'],
    ['with a policy that is wrong', cluster({ loadBalancingPolicy: { policies: [policy(packAny(LeastRequestSchema, { choiceCount: 1 }))] } }), 'load_balancing_policy: choice_count must be 2 or more, not 1'],
    ['with an unknown lb_policy', cluster({ lbPolicy: 77 as never }), 'lb_policy: lb_policy 77 is not supported'],
    ['with network filters', cluster({ filters: [{ name: 'x' }] }), 'filters: not supported'],
    ['with limits per host of anything but connections', cluster({ circuitBreakers: { perHostThresholds: [{ maxRequests: 1 }] } }), 'circuit_breakers.per_host_thresholds[0].max_requests: not supported'],
    ['with no connection to a host', cluster({ circuitBreakers: { perHostThresholds: [{ maxConnections: 0 }] } }), 'circuit_breakers.per_host_thresholds: max_connections must be 1 or more'],
    ['with a retry budget that is no number', cluster({ circuitBreakers: { thresholds: [{ retryBudget: { budgetPercent: { value: Number.NaN } } }] } }), 'circuit_breakers.thresholds[0].retry_budget.budget_percent: must be 0 to 100'],
    ['with a panic threshold beyond 100', cluster({ commonLbConfig: { healthyPanicThreshold: { value: Infinity } } }), 'common_lb_config.healthy_panic_threshold: must be 0 to 100'],
    ['with outlier percentages beyond 100', outlier({ enforcingSuccessRate: 101 }), 'outlier_detection.enforcing_success_rate: must be 0 to 100'],
    ['with an outlier interval of 0', outlier({ interval: {} }), 'outlier_detection.interval: must be greater than 0'],
    ['with outlier monitors', outlier({ monitors: [{ name: 'x' }] }), 'outlier_detection.monitors[0]: "x" is not supported'],
    ['with HTTP/3', cluster(options({ upstreamProtocolOptions: { case: 'explicitHttpConfig', value: { protocolConfig: { case: 'http3ProtocolOptions', value: {} } } } })), `${http}.explicit_http_config.http3_protocol_options: not supported`],
    ['with names taken from the request', cluster(options({ upstreamProtocolOptions: { case: 'autoConfig', value: {} }, upstreamHttpProtocolOptions: { autoSni: true } })), `${http}.upstream_http_protocol_options.auto_sni: not supported`],
    ['with upstream filters', cluster(options({ upstreamProtocolOptions: { case: 'autoConfig', value: {} }, httpFilters: [{ name: 'x' }] })), `${http}.http_filters: not supported`],
    ['with options of another protocol', cluster({ typedExtensionProtocolOptions: { x: stranger } }), 'typed_extension_protocol_options["x"]: not supported'],
  ])('are refused %s', (_what, bytes, problem) => {
    expect(problemsOf(types.cluster, bytes)).toContain(problem);
  });
});

describe('endpoints', () => {
  it('are decoded with the identity expected of each', () => {
    const metadata = { filterMetadata: { weft: { spiffe_id: 'spiffe://td/ns/a/sa/b' }, istio: { workload: 'w;a;c;r;k' }, 'envoy.transport_socket_match': { tlsMode: 'istio' } } };
    const { name, resource } = types.endpoints.decode(assignment([locality('z', [endpoint('10.0.0.1', 80, { metadata, loadBalancingWeight: 3, healthStatus: 2 }), endpoint('::1.2.3.4')])], { policy: { dropOverloads: [{ category: 'd', dropPercentage: { numerator: 5 } }], overprovisioningFactor: 200 } }));
    expect(name).toBe('c');
    expect(resource).toMatchObject({ drops: [{ category: 'd', numerator: 5, denominator: 100 }], overprovisioningFactor: 200 });
    expect(resource.localities[0]!.endpoints).toMatchObject([
      { address: '10.0.0.1', port: 80, weight: 3, health: 'unhealthy', spiffeId: 'spiffe://td/ns/a/sa/b', identityMissing: false, workload: { name: 'w', canonicalService: 'c' } },
      { weight: 1, health: 'unknown', identityMissing: false, metadata: {} },
    ]);
    expect(Object.isFrozen(resource.localities[0]!.endpoints[0]!.metadata['weft'])).toBe(true);
  });

  it('leave localities without weight out before priorities are counted', () => {
    const bytes = assignment([locality('a', [endpoint('10.0.0.1')]), locality('b', [endpoint('10.0.0.2')], { priority: 1, loadBalancingWeight: undefined as never }), locality('c', [endpoint('10.0.0.3')], { priority: 1 })]);
    expect(types.endpoints.decode(bytes).resource.localities.map(({ zone, priority }) => [zone, priority])).toEqual([['a', 0], ['c', 1]]);
    expect(problemsOf(types.endpoints, assignment([]))).toEqual([]);
  });

  const one = 'endpoints[0].lb_endpoints[0]';
  const address = `${one}.endpoint.address.socket_address.address`;
  it.each<[string, Uint8Array, string]>([
    ['without a cluster', assignment([], { clusterName: '' }), 'cluster_name: must not be empty'],
    ['with a gap in priorities', assignment([locality('a', []), locality('b', [], { priority: 2 })]), 'endpoints: priorities must be contiguous from 0: 1 is missing'],
    ['with a locality twice', assignment([locality('a', []), locality('a', [])]), 'endpoints: priority 0 has the locality ["","a",""] twice'],
    ['with a locality that is not named', assignment([{ ...locality('a', []), locality: undefined as never }]), 'endpoints[0].locality: is required'],
    ['with an address twice', assignment([locality('a', [endpoint('10.0.0.1')]), locality('b', [endpoint('10.0.0.1')], { priority: 1 })]), 'endpoints: the address 10.0.0.1:8080 is there twice'],
    ['with a name for an address', assignment([locality('a', [endpoint('a.example')])]), `${address}: "a.example" is not an IP address`],
    ['with port 0', assignment([locality('a', [endpoint('10.0.0.1', 0)])]), `${one}.endpoint.address.socket_address.port_value: must be 1 to 65535`],
    ['with port 65536', assignment([locality('a', [endpoint('10.0.0.1', 65_536)])]), `${one}.endpoint.address.socket_address.port_value: must be 1 to 65535`],
    ['with a weight of 0', assignment([locality('a', [endpoint('10.0.0.1', 80, { loadBalancingWeight: 0 })])]), `${one}.load_balancing_weight: must be 1 or more`],
    ['with endpoint weights beyond uint32', assignment([locality('a', [endpoint('10.0.0.1', 80, { loadBalancingWeight: 4_294_967_295 }), endpoint('10.0.0.2')])]), 'endpoints: the weights of the endpoints of locality ["","a",""] sum to more than 4294967295'],
    ['with locality weights beyond uint32', assignment([locality('a', [], { loadBalancingWeight: 4_294_967_295 }), locality('b', [])]), 'endpoints: the weights of priority 0 sum to more than 4294967295'],
    ['with a drop without a category', assignment([], { policy: { dropOverloads: [{}] } }), 'policy.drop_overloads[0].category: must not be empty'],
    ['with a socket of this machine', assignment([locality('a', [{ hostIdentifier: { case: 'endpoint', value: { address: { address: { case: 'pipe', value: { path: '/run/x' } } } } } } as never])]), `${one}.endpoint.address: only socket_address is supported`],
    ['with a name instead of an endpoint', assignment([locality('a', [{ hostIdentifier: { case: 'endpointName', value: 'x' } }])]), `${one}.endpoint: is required`],
    ['with lists from elsewhere', assignment([locality('a', [], { lbConfig: { case: 'ledsClusterLocalityConfig', value: {} } })]), 'endpoints[0].leds_cluster_locality_config: not supported'],
    ['with an identity that is none', assignment([locality('a', [endpoint('10.0.0.1', 80, { metadata: { filterMetadata: { weft: { spiffe_id: 7 } } } })])]), `${one}.metadata.filter_metadata["weft"].spiffe_id: is not a SPIFFE ID`],
    ['with a missing identity that is a word', assignment([locality('a', [endpoint('10.0.0.1', 80, { metadata: { filterMetadata: { weft: { identity_missing: 'true' } } } })])]), `${one}.metadata.filter_metadata["weft"].identity_missing: must be true or false`],
    ...['127.0.0.1', '::1', '::ffff:127.0.0.1'].map((host): [string, Uint8Array, string] => [`at ${host}`, assignment([locality('a', [endpoint(host)])]), `${address}: ${host}: loopback endpoints are not allowed (option allowLoopbackEndpoints)`]),
    ...['169.254.169.254', '::ffff:169.254.169.254', 'fe80::1', 'fd00:ec2::254', '0.0.0.0', '::', '224.0.0.1', 'ff02::1', '255.255.255.255'].map((host): [string, Uint8Array, string] => [`at ${host}`, assignment([locality('a', [endpoint(host)])]), `${address}: ${host}: endpoints must not be link-local, multicast or unspecified addresses`]),
  ])('are refused %s', (_what, bytes, problem) => {
    expect(problemsOf(types.endpoints, bytes)).toContain(problem);
  });

  it('keep __proto__ a name like any other', () => {
    const { resource } = types.endpoints.decode(assignment([locality('a', [endpoint('10.0.0.1', 80, { metadata: { filterMetadata: JSON.parse('{"__proto__": {"weft": "x"}}') as never } })])]));
    const { metadata } = resource.localities[0]!.endpoints[0]!;
    expect(metadata['weft']).toBeUndefined();
    expect(({} as Record<string, unknown>)['weft']).toBeUndefined();
  });
});
