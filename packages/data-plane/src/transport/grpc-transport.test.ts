import { afterEach, expect, test } from 'vitest';
import type { ClusterConfig } from '../resource/cluster-config.js';
import { Host } from '../upstream/host.js';
import { noCluster } from '../upstream/test-support.js';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';
import { GrpcTransport } from './grpc-transport.js';

const transport = new GrpcTransport({ tls: undefined });
afterEach(() => transport.close());

function channels(options: Partial<ClusterConfig>, calls: number): number {
  const host = new Host(noCluster, '127.0.0.1:1', { address: '127.0.0.1', port: 1, hostname: '', weight: 1, health: 'healthy', metadata: {}, identityMissing: false });
  const cluster = { config: { transportSockets: [], idleTimeoutMs: 0, connectTimeoutMs: 100, ...options } } as unknown as UpstreamCluster;
  return new Set(Array.from({ length: calls }, () => transport.channel(host, cluster))).size;
}

test('calls share one channel to a host', () => {
  expect(channels({}, 10)).toBe(1);
  expect(channels({ maxConnectionDurationMs: 0 }, 10)).toBe(1);
});

test('a channel takes as many calls, and gets as old, as the cluster lets a connection', () => {
  expect(channels({ maxRequestsPerConnection: 3 }, 10)).toBe(4);
  expect(channels({ maxConnectionDurationMs: 1e-9 }, 3)).toBe(3);
});
