import { packAny } from '@weft/xds-api';
import { Cluster_DiscoveryType as Type, Cluster_DnsLookupFamily as Family, Cluster_LbPolicy as LbPolicy, DynamicForwardProxyClusterConfigSchema } from '@weft/xds-api/cluster';
import { expect, it } from 'vitest';
import { cluster, endpoint, problemsOf, types } from './testing.js';

const seconds = (value: number) => ({ seconds: BigInt(value) });
const dnsCluster = (init: object) => cluster({ clusterDiscoveryType: { case: 'type', value: Type.STRICT_DNS }, loadAssignment: { endpoints: [{ lbEndpoints: [endpoint('a.example')] }] }, ...init } as never);

it('DNS clusters say which families they want and how often names are asked for', () => {
  expect(types.cluster.decode(dnsCluster({ dnsLookupFamily: Family.V4_PREFERRED, respectDnsTtl: true, dnsFailureRefreshRate: { baseInterval: seconds(2) } })).resource.type).toMatchObject({ dns: { family: 'v4-preferred', respectTtl: true, refreshMs: 5000, failureRefresh: { baseMs: 2000, maxMs: 20_000 } } });
  expect(problemsOf(types.cluster, dnsCluster({ dnsLookupFamily: 77, dnsFailureRefreshRate: { baseInterval: seconds(2), maxInterval: seconds(1) } }))).toEqual(['dns_lookup_family: unknown value 77', 'dns_failure_refresh_rate.max_interval: must not be below base_interval']);
  expect(problemsOf(types.cluster, dnsCluster({ dnsFailureRefreshRate: {} }))).toEqual(['dns_failure_refresh_rate.base_interval: is required']);
});

const proxy = (config: object, init: object = {}) => cluster({ lbPolicy: LbPolicy.CLUSTER_PROVIDED, clusterDiscoveryType: { case: 'clusterType', value: { name: 'envoy.clusters.dynamic_forward_proxy', typedConfig: packAny(DynamicForwardProxyClusterConfigSchema, config as never) } }, ...init } as never);
const cache = (init: object) => ({ clusterImplementationSpecifier: { case: 'dnsCacheConfig', value: init } });

it("dynamic forward proxies have Envoy's defaults", () => {
  expect(types.cluster.decode(proxy(cache({ name: 'dns' }))).resource.type).toEqual({
    kind: 'dynamic-forward-proxy',
    cache: { name: 'dns', dns: { family: 'auto', respectTtl: false, refreshMs: 60_000 }, hostTtlMs: 300_000, maxHosts: 1024, maxPending: 1024, queryTimeoutMs: 5000, preresolve: [] },
  });
  const set = { name: 'dns', dnsRefreshRate: seconds(1), dnsMinRefreshRate: seconds(3), hostTtl: seconds(4), maxHosts: 5, dnsCacheCircuitBreaker: { maxPendingRequests: 6 }, dnsQueryTimeout: seconds(7), preresolveHostnames: [{ address: 'a.example', portSpecifier: { case: 'portValue', value: 80 } }] };
  expect(types.cluster.decode(proxy(cache(set))).resource.type).toMatchObject({ cache: { dns: { refreshMs: 3000 }, hostTtlMs: 4000, maxHosts: 5, maxPending: 6, queryTimeoutMs: 7000, preresolve: [{ host: 'a.example', port: 80 }] } });
});

it('the names of their certificates are those of the hosts, which is all they can mean', () => {
  const names = { upstreamHttpProtocolOptions: { autoSni: true, autoSanValidation: true } };
  expect(problemsOf(types.cluster, proxy(cache({ name: 'dns' }), names))).toEqual([]);
  expect(problemsOf(types.cluster, cluster(names))).toEqual(['upstream_http_protocol_options.auto_sni: not supported', 'upstream_http_protocol_options.auto_san_validation: not supported']);
});

it.each<[string, Uint8Array, string[]]>([
  ['without a cache', proxy({}), ['cluster_type.typed_config.dns_cache_config: is required']],
  ['with clusters of their own', proxy({ clusterImplementationSpecifier: { case: 'subClustersConfig', value: {} } }), ['cluster_type.typed_config.sub_clusters_config: not supported', 'cluster_type.typed_config.dns_cache_config: is required']],
  ['with a cache without name, hosts or a resolver of its own', proxy(cache({ maxHosts: 0, typedDnsResolverConfig: { name: 'x' } })), ['cluster_type.typed_config.dns_cache_config.typed_dns_resolver_config: not supported', 'cluster_type.typed_config.dns_cache_config.name: must not be empty', 'cluster_type.typed_config.dns_cache_config.max_hosts: must be 1 or more']],
  ['with endpoints', proxy(cache({ name: 'dns' }), { loadAssignment: {} }), ['load_assignment: must not be set: hosts are those that requests name']],
])('dynamic forward proxies are refused %s', (_what, resource, problems) => expect(problemsOf(types.cluster, resource)).toEqual(problems));

it('CLUSTER_PROVIDED is for clusters that choose by themselves', () => {
  expect(problemsOf(types.cluster, cluster({ lbPolicy: LbPolicy.CLUSTER_PROVIDED }))).toEqual([expect.stringContaining('CLUSTER_PROVIDED is not supported')]);
});
