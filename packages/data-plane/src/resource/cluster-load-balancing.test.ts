import { create, type MessageInitShape } from '@weft/xds-api/protobuf';
import { Cluster_LbPolicy as LbPolicy, Cluster_RingHashLbConfig_HashFunction as HashFunction, ClusterSchema } from '@weft/xds-api/cluster';
import { packAny } from '@weft/xds-api';
import { HealthStatus } from '@weft/xds-api/core';
import { OverrideHostSchema, PickFirstSchema, SubsetSchema } from '@weft/xds-api/load-balancing';
import { describe, expect, it } from 'vitest';
import { builtinLoadBalancers } from '../load-balancing/builtin.js';
import { decodeLoadBalancing } from './cluster-load-balancing.js';
import { Report } from './report.js';

function decode(init: MessageInitShape<typeof ClusterSchema>) {
  const report = new Report();
  const decoded = decodeLoadBalancing(create(ClusterSchema, init), builtinLoadBalancers, report);
  return { decoded, problems: report.problems.map(({ path, reason }) => `${path}: ${reason}`) };
}

describe('consistent hashing by lb_policy', () => {
  it('has the sizes of its configuration, and hashes names where asked to', () => {
    const ring = decode({
      lbPolicy: LbPolicy.RING_HASH,
      lbConfig: { case: 'ringHashLbConfig', value: { minimumRingSize: 64n, maximumRingSize: 128n } },
      commonLbConfig: { consistentHashingLbConfig: { useHostnameForHashing: true } },
    });
    expect(ring.problems).toEqual([]);
    expect(ring.decoded?.loadBalancing).toEqual({ policy: 'envoy.load_balancing_policies.ring_hash', config: { minimumRingSize: 64, maximumRingSize: 128, hashFunction: 'xx-hash', useHostname: true, localityWeighted: false } });
    const maglev = decode({ lbPolicy: LbPolicy.MAGLEV, lbConfig: { case: 'maglevLbConfig', value: { tableSize: 1009n } } });
    expect(maglev.decoded?.loadBalancing).toMatchObject({ policy: 'envoy.load_balancing_policies.maglev', config: { tableSize: 1009 } });
  });

  it('reports what it cannot do', () => {
    expect(decode({ lbPolicy: LbPolicy.MAGLEV, lbConfig: { case: 'maglevLbConfig', value: { tableSize: 1000n } } }).problems).toEqual(['lb_policy: table_size must be a prime up to 5000011, not 1000']);
    expect(decode({ lbPolicy: LbPolicy.RING_HASH, commonLbConfig: { consistentHashingLbConfig: { hashBalanceFactor: 99 } } }).problems).toEqual(['lb_policy: hash_balance_factor must be 100 or more, not 99']);
  });

  it('has its hash function and its bound', () => {
    const ring = decode({ lbPolicy: LbPolicy.RING_HASH, lbConfig: { case: 'ringHashLbConfig', value: { hashFunction: HashFunction.MURMUR_HASH_2 } }, commonLbConfig: { consistentHashingLbConfig: { hashBalanceFactor: 120 } } });
    expect(ring.decoded?.loadBalancing.config).toMatchObject({ hashFunction: 'murmur-hash-2', hashBalanceFactor: 120 });
  });
});

describe('zones, subsets and overrides', () => {
  it('are read from common_lb_config and lb_subset_config', () => {
    const { decoded, problems } = decode({
      commonLbConfig: {
        localityConfigSpecifier: { case: 'zoneAwareLbConfig', value: { minClusterSize: 3n, failTrafficOnPanic: true } },
        overrideHostStatus: { statuses: [HealthStatus.HEALTHY, HealthStatus.DRAINING] },
      },
      lbSubsetConfig: { fallbackPolicy: 1, subsetSelectors: [{ keys: ['v', 'a', 'v'], fallbackPolicy: 4, fallbackKeysSubset: ['v'] }], listAsAny: true },
    });
    expect(problems).toEqual([]);
    expect(decoded).toMatchObject({
      zoneAware: { routingEnabled: 100, minClusterSize: 3, failTrafficOnPanic: true },
      overrideHostStatus: ['healthy', 'draining'],
      subsets: { fallback: 'any-endpoint', listAsAny: true, selectors: [{ keys: ['a', 'v'], fallback: 'keys-subset', fallbackKeys: ['v'] }] },
    });
  });

  it('are read from load_balancing_policy, one policy around another', () => {
    const wrap = (schema: typeof SubsetSchema | typeof OverrideHostSchema, init: object) => ({ policies: [{ typedExtensionConfig: { name: 'x', typedConfig: packAny(schema as typeof SubsetSchema, init) } }] });
    const { decoded, problems } = decode({
      loadBalancingPolicy: wrap(OverrideHostSchema, {
        overrideHostSources: [{ header: 'X-To' }, { metadata: { key: 'envoy.lb', path: [{ segment: { case: 'key', value: 'to' } }] } }],
        fallbackPolicy: wrap(SubsetSchema, { subsetSelectors: [{ keys: ['v'] }], subsetLbPolicy: { policies: [{ typedExtensionConfig: { name: 'x', typedConfig: packAny(PickFirstSchema, {}) } }] } }),
      }),
    });
    expect(problems).toEqual([]);
    expect(decoded).toMatchObject({
      loadBalancing: { policy: 'envoy.load_balancing_policies.pick_first' },
      subsets: { selectors: [{ keys: ['v'] }] },
      overrideHosts: [{ kind: 'header', name: 'x-to' }, { kind: 'metadata', key: 'envoy.lb', path: ['to'] }],
    });
  });

  it.each([
    [{ subsetSelectors: [{ keys: ['a', 'b'], singleHostPerSubset: true }] }, /single_host_per_subset/],
    [{ subsetSelectors: [{ keys: ['a'], fallbackPolicy: 4 }] }, /fallback_keys_subset must not be empty/],
    [{ subsetSelectors: [{ keys: ['a'], fallbackPolicy: 4, fallbackKeysSubset: ['b'] }] }, /must be a subset of keys/],
    [{ subsetSelectors: [{ keys: ['a'], fallbackPolicy: 4, fallbackKeysSubset: ['a'] }] }, /must not be equal/],
    [{ subsetSelectors: [{ keys: ['a'], fallbackKeysSubset: ['a'] }] }, /only for KEYS_SUBSET/],
    [{ fallbackPolicy: 9, subsetSelectors: [{ keys: ['a'] }] }, /fallback_policy 9/],
  ])('subsets that mean nothing are refused: %j', (lbSubsetConfig, problem) => {
    expect(decode({ lbSubsetConfig } as MessageInitShape<typeof ClusterSchema>).problems[0]).toMatch(problem);
  });
});
