import { create, type MessageInitShape } from '@weft/xds-api/protobuf';
import { Cluster_LbPolicy as LbPolicy, Cluster_RingHashLbConfig_HashFunction as HashFunction, ClusterSchema } from '@weft/xds-api/cluster';
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
    expect(ring.decoded?.loadBalancing).toEqual({ policy: 'envoy.load_balancing_policies.ring_hash', config: { minimumRingSize: 64, maximumRingSize: 128, useHostname: true, localityWeighted: false } });
    const maglev = decode({ lbPolicy: LbPolicy.MAGLEV, lbConfig: { case: 'maglevLbConfig', value: { tableSize: 1009n } } });
    expect(maglev.decoded?.loadBalancing).toMatchObject({ policy: 'envoy.load_balancing_policies.maglev', config: { tableSize: 1009 } });
  });

  it('reports what it cannot do', () => {
    expect(decode({ lbPolicy: LbPolicy.RING_HASH, lbConfig: { case: 'ringHashLbConfig', value: { hashFunction: HashFunction.MURMUR_HASH_2 } } }).problems).toEqual(['ring_hash_lb_config.hash_function: not supported']);
    expect(decode({ lbPolicy: LbPolicy.MAGLEV, lbConfig: { case: 'maglevLbConfig', value: { tableSize: 1000n } } }).problems).toEqual(['lb_policy: table_size must be a prime up to 5000011, not 1000']);
    expect(decode({ lbPolicy: LbPolicy.RING_HASH, commonLbConfig: { consistentHashingLbConfig: { hashBalanceFactor: 120 } } }).problems).toEqual(['common_lb_config.consistent_hashing_lb_config.hash_balance_factor: not supported']);
  });
});
