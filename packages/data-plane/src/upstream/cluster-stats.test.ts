import { expect, it } from 'vitest';
import type { ClusterConfig } from '../resource/cluster-config.js';
import { Stats } from '../telemetry/stats.js';
import { Host } from './host.js';
import { cluster, clusterConfig, clusterContext, endpoints, limits } from './test-support.js';

function setup(config: Partial<ClusterConfig>, addresses = ['a']) {
  const stats = new Stats();
  const made = cluster(config, endpoints([addresses]), clusterContext({ stats }));
  const value = (name: string) => {
    for (const family of stats.families()) if (family.name === `envoy_cluster_${name}`) for (const { values, metric } of family) if (values[0] === 'c') return (metric as { value: number }).value;
    return undefined;
  };
  const start = () => {
    const host = made.choose({ attempt: 0, priority: 'default' });
    if (host instanceof Host) made.begin(host, 'default');
    return host as Host;
  };
  return { made, value, start };
}

it('circuit breakers tell when they are open, what they refused and, where asked for, what is left', () => {
  const { made, value, start } = setup({ protocol: 'http2', thresholds: limits({ maxRequests: 2, maxRetries: 1, trackRemaining: true }) });
  expect([value('circuit_breakers_default_rq_open'), value('circuit_breakers_default_remaining_rq'), value('circuit_breakers_high_rq_open'), value('circuit_breakers_high_remaining_rq')]).toEqual([0, 2, 0, undefined]);
  const host = start();
  start();
  start();
  expect([value('circuit_breakers_default_rq_open'), value('circuit_breakers_default_remaining_rq'), value('upstream_rq_pending_overflow')]).toEqual([1, 0, 1]);
  made.end(host, 'default', { status: 200, durationMs: 1 });
  expect([value('circuit_breakers_default_rq_open'), value('circuit_breakers_default_remaining_rq')]).toEqual([0, 1]);
  made.beginRetry('default');
  made.beginRetry('default');
  expect([value('circuit_breakers_default_remaining_retries'), value('upstream_rq_retry_overflow')]).toEqual([0, 1]);
  made.update(clusterConfig({ protocol: 'http2', thresholds: limits({ maxRequests: 1 }) }));
  expect(value('circuit_breakers_default_rq_open')).toBe(1);
});

it('outlier detection tells what it found, what it did about it and what it was not allowed to', () => {
  const { made, value } = setup({ outlierDetection: { consecutive5xx: 1, consecutiveGatewayFailure: 1, maxEjectionPercent: 50 } }, ['a', 'b']);
  const fail = (index: number) => {
    const host = made.hosts[index] as Host;
    made.begin(host, 'default');
    made.end(host, 'default', { status: 503, durationMs: 1 });
  };
  fail(0);
  fail(1);
  const found = (name: string) => value(`outlier_detection_ejections_${name}`);
  // The gateway failure of the second host is only looked for, with Envoy's default of 0 %.
  expect(['detected_consecutive_5xx', 'enforced_consecutive_5xx', 'enforced_total', 'active', 'overflow', 'detected_consecutive_gateway_failure', 'enforced_consecutive_gateway_failure'].map(found)).toEqual([2, 1, 1, 1, 2, 1, undefined]);
  made.close();
  expect(found('active')).toBe(0);
});
