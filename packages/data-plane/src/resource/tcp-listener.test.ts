import { create, toBinary, type MessageInitShape } from '@weft/xds-api/protobuf';
import { packAny } from '@weft/xds-api';
import { RBAC_Action, RBACNetworkSchema } from '@weft/xds-api/filter-rbac';
import { HttpConnectionManagerSchema, TcpProxySchema } from '@weft/xds-api/http';
import { ListenerSchema } from '@weft/xds-api/listener';
import { expect, it } from 'vitest';
import { DecodeError } from '../xds/resource-type.js';
import { types } from './testing.js';

type ProxyInit = MessageInitShape<typeof TcpProxySchema>;
const cluster = { clusterSpecifier: { case: 'cluster', value: 'db' } } as const;
const proxy = (init: ProxyInit = cluster) => ({ name: 'tcp', configType: { case: 'typedConfig', value: packAny(TcpProxySchema, init as never) } }) as const;
const rbac = { name: 'rbac', configType: { case: 'typedConfig', value: packAny(RBACNetworkSchema, { rules: { action: RBAC_Action.ALLOW, policies: {} } }) } } as const;
const listener = (init: MessageInitShape<typeof ListenerSchema>) => toBinary(ListenerSchema, create(ListenerSchema, { name: 'db:5432', ...init } as never));
const address = { address: { case: 'socketAddress', value: { address: '10.0.0.1', portSpecifier: { case: 'portValue', value: 5432 } } } } as const;

function problems(type: typeof types.client, init: MessageInitShape<typeof ListenerSchema>): string[] {
  try {
    type.decode(listener(init));
    return [];
  } catch (error) {
    return (error as DecodeError).problems.map(({ path, reason }) => `${path}: ${reason}`);
  }
}

it('a client takes a tcp_proxy by server name, with Envoy\'s defaults', () => {
  const weighted = { clusterSpecifier: { case: 'weightedClusters', value: { clusters: [{ name: 'a', weight: 1 }, { name: 'b', weight: 3 }] } }, maxConnectAttempts: 2, idleTimeout: { seconds: 0n }, hashPolicy: [{ policySpecifier: { case: 'sourceIp', value: {} } }] } as const;
  const { resource } = types.client.decode(listener({ filterChains: [{ filterChainMatch: { serverNames: ['A.test'] }, filters: [proxy(weighted as never)] }], defaultFilterChain: { filters: [proxy()] } }));
  expect(resource.tcp).toEqual([
    { serverNames: ['a.test'], proxy: { clusters: [{ name: 'a', weight: 1 }, { name: 'b', weight: 3 }], totalWeight: 4, idleTimeoutMs: 0, maxConnectAttempts: 2, hashesSource: true } },
    { serverNames: [], proxy: { clusters: [{ name: 'db', weight: 1 }], totalWeight: 1, idleTimeoutMs: 3_600_000, maxConnectAttempts: 1, hashesSource: false } },
  ]);
});

it('a server takes RBAC before it', () => {
  const { resource } = types.server.decode(listener({ address, filterChains: [{ filters: [rbac, rbac, proxy()] }] }));
  expect(resource.filterChains[0]!.tcp!.rbac).toHaveLength(2);
  expect(resource.filterChains[0]!.http).toBeUndefined();
});

it.each<[string, MessageInitShape<typeof ListenerSchema>, string]>([
  ['without a cluster', { filterChains: [{ filters: [proxy({})] }] }, 'filter_chains[0].filters[0].typed_config: one of cluster, weighted_clusters is required'],
  ['that tunnels', { filterChains: [{ filters: [proxy({ ...cluster, tunnelingConfig: { hostname: 'x' } })] }] }, 'filter_chains[0].filters[0].typed_config.tunneling_config: not supported'],
  ['with no attempt', { filterChains: [{ filters: [proxy({ ...cluster, maxConnectAttempts: 0 })] }] }, 'filter_chains[0].filters[0].typed_config.max_connect_attempts: must be at least 1'],
  ['that is not last', { filterChains: [{ filters: [proxy(), rbac] }] }, 'filter_chains[0].filters[1]: nothing comes after tcp_proxy'],
  ['by addresses', { filterChains: [{ filterChainMatch: { sourcePorts: [1] }, filters: [proxy()] }] }, 'filter_chains[0].filter_chain_match: clients can match server_names only'],
])('a client refuses one %s', (_what, init, problem) => {
  expect(problems(types.client, init)).toContain(problem);
});

it('a server refuses RBAC that nothing comes after, and RBAC before HTTP', () => {
  const http = { name: 'http', configType: { case: 'typedConfig', value: packAny(HttpConnectionManagerSchema, {}) } } as const;
  expect(problems(types.server, { address, filterChains: [{ filters: [rbac] }] })).toContain('filter_chains[0].filters[0]: rbac cannot be the last filter: nothing takes the bytes');
  expect(problems(types.server, { address, filterChains: [{ filters: [rbac, http] }] })).toContain('filter_chains[0].filters: must be one HttpConnectionManager, are 2 filters');
});
