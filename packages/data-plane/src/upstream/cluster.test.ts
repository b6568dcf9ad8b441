import { describe, expect, it, vi } from 'vitest';
import { legacyLoadBalancing } from '../load-balancing/builtin.js';
import { Cluster } from './cluster.js';
import { Host } from './host.js';
import type { RoutePriority } from './upstream-cluster.js';
import { cluster, clusterConfig, clusterContext, endpoint, endpoints, limits, locality } from './test-support.js';

const choose = (from: Cluster, more: { priority?: RoutePriority; attempted?: readonly Host[]; hostSelectionAttempts?: number } = {}) => from.choose({ attempt: 0, priority: 'default', ...more });
const ok = { status: 200, durationMs: 1 };

function start(from: Cluster, priority: RoutePriority = 'default'): Host {
  const host = choose(from, { priority });
  if (!(host instanceof Host)) throw new Error(host.details);
  from.begin(host, priority);
  return host;
}

describe('circuit breakers', () => {
  const overflow = {
    status: 503, flag: 'UO', details: 'upstream_reset_before_response_started{overflow}', headers: [['x-envoy-overloaded', 'true']],
    body: 'upstream connect error or disconnect/reset before headers. reset reason: overflow',
  };

  it('limit requests, by priority, and let go at the end', () => {
    const limited = cluster({ thresholds: limits({ maxRequests: 2 }) }, endpoints([['a']]));
    const first = start(limited);
    start(limited);
    expect(choose(limited)).toEqual(overflow);
    expect(choose(limited, { priority: 'high' })).toBeInstanceOf(Host);
    limited.end(first, 'default', ok);
    expect(choose(limited)).toBe(first);
  });

  it('on HTTP/1.1 let as many wait as may wait once all connections are taken', () => {
    const thresholds = limits({ maxConnections: 1, maxPendingRequests: 2 });
    const http1 = cluster({ thresholds }, endpoints([['a']]));
    for (let i = 0; i < 3; i++) start(http1);
    expect(choose(http1)).toEqual(overflow);
    const http2 = cluster({ thresholds, protocol: 'http2' }, endpoints([['a']]));
    for (let i = 0; i < 100; i++) start(http2);
    expect(choose(http2)).toBeInstanceOf(Host);
  });

  it('limit retries at a time, by number or by budget', () => {
    const byNumber = cluster({}, endpoints([['a']]));
    expect([1, 2, 3, 4].map(() => byNumber.beginRetry('default'))).toEqual([true, true, true, false]);
    byNumber.endRetry('default');
    expect([byNumber.beginRetry('default'), byNumber.beginRetry('default'), byNumber.beginRetry('high')]).toEqual([true, false, true]);

    const byBudget = cluster({ thresholds: limits({ maxRetries: 100, retryBudget: { percent: 20, minConcurrency: 1 } }) }, endpoints([['a']]));
    expect([byBudget.beginRetry('default'), byBudget.beginRetry('default')]).toEqual([true, false]);
    for (let i = 0; i < 14; i++) start(byBudget);
    expect([byBudget.beginRetry('default'), byBudget.beginRetry('default')]).toEqual([true, false]);
  });

  it('take new limits at once', () => {
    const limited = cluster({ thresholds: limits({ maxRequests: 1 }) }, endpoints([['a']]));
    start(limited);
    limited.update(clusterConfig({ thresholds: limits({ maxRequests: 5 }) }));
    expect(choose(limited)).toBeInstanceOf(Host);
  });
});

describe('choosing a host', () => {
  it('answers 503 with UH where there is none', () => {
    expect(choose(cluster({}, endpoints([])))).toEqual({ status: 503, flag: 'UH', details: 'no_healthy_upstream', body: 'no healthy upstream: c has no endpoints' });
  });

  it('drops what the control plane wants dropped, before anything else', () => {
    const draws = [0.5, 0.049, 0.5, 0.05];
    const context = clusterContext();
    const dropping = cluster({ thresholds: limits({ maxRequests: 0 }) }, endpoints([['a']], { drops: [{ category: 'lb', numerator: 10, denominator: 100 }, { category: 'throttle', numerator: 5, denominator: 100 }] }), context);
    context.random = () => draws.shift() ?? 0;
    expect(choose(dropping)).toMatchObject({ status: 503, flag: 'DO', details: 'drop_overload{throttle}' });
    expect(choose(dropping)).toMatchObject({ flag: 'UO' });
  });

  it('avoids hosts that were tried, a number of times', () => {
    const three = cluster({}, endpoints([['a', 'b', 'c']]));
    const [a, b, c] = three.hosts as [Host, Host, Host];
    expect(choose(three, { attempted: [a] })).toBe(b);
    expect(choose(three, { attempted: [c, a], hostSelectionAttempts: 5 })).toBe(b);
    // Rotation is at c now: one more try reaches a, which was tried too, and is taken after all.
    expect(choose(three, { attempted: [a, c] })).toBe(a);
  });

  it('counts requests of a host', () => {
    const one = cluster({}, endpoints([['a']]));
    const host = start(one);
    expect(host.activeRequests).toBe(1);
    one.end(host, 'default', ok);
    expect(host.activeRequests).toBe(0);
  });

  it('goes on with the policy of an update, and refuses an unknown one without a change', () => {
    const one = cluster({}, endpoints([['a', 'b']]));
    one.update(clusterConfig({ loadBalancing: legacyLoadBalancing('RANDOM') }));
    expect([choose(one), choose(one)]).toEqual([one.hosts[0], one.hosts[0]]);
    expect(() => one.update(clusterConfig({ loadBalancing: { policy: 'nope', config: {} } }))).toThrow(/policy nope is not known/);
    expect(one.config.loadBalancing.policy).toContain('random');
    expect(() => new Cluster(clusterConfig({ loadBalancing: { policy: 'nope', config: {} } }), clusterContext())).toThrow(/nope/);
  });

  it('is ready once endpoints are known, though there are none', () => {
    const fresh = new Cluster(clusterConfig(), clusterContext());
    expect(fresh.ready).toBe(false);
    fresh.setEndpoints(endpoints([]));
    expect(fresh.ready).toBe(true);
  });
});

describe('connections of hosts', () => {
  const connected = (host: Host | undefined) => {
    const close = vi.fn();
    host?.transports.set('http', { close });
    return close;
  };

  it('close when the host is removed, after its last request', () => {
    const two = cluster({}, endpoints([['a', 'b']]));
    const [a, b] = two.hosts;
    const [closeA, closeB] = [connected(a), connected(b)];
    two.begin(a as Host, 'default');
    two.setEndpoints(endpoints([]));
    expect(closeB).toHaveBeenCalledOnce();
    expect(closeA).not.toHaveBeenCalled();
    two.end(a as Host, 'default', ok);
    expect(closeA).toHaveBeenCalledOnce();
  });

  it('are made anew when TLS or the protocol changes, kept otherwise', () => {
    const one = cluster({}, endpoints([['a']]));
    const close = connected(one.hosts[0]);
    one.update(clusterConfig({ overprovisioningFactor: 150 }));
    expect(close).not.toHaveBeenCalled();
    one.update(clusterConfig({ protocol: 'http2' }));
    expect(close).toHaveBeenCalledOnce();
    expect(one.hosts[0]?.transports.size).toBe(0);
  });

  it('are made anew when another identity is expected of the endpoint', () => {
    const one = cluster({}, endpoints([['a']]));
    const close = connected(one.hosts[0]);
    one.setEndpoints(endpoints([locality([endpoint('a', { spiffeId: 'spiffe://td/ns/a/sa/b' })])]));
    expect(close).toHaveBeenCalledOnce();
  });

  it('close when the host becomes unhealthy, where the cluster says so', () => {
    for (const [closeConnectionsOnHostHealthFailure, times] of [[true, 1], [false, 0]] as const) {
      const one = cluster({ closeConnectionsOnHostHealthFailure }, endpoints([['a']]));
      const close = connected(one.hosts[0]);
      one.setEndpoints(endpoints([locality([endpoint('a', { health: 'unhealthy' })])]));
      expect(close).toHaveBeenCalledTimes(times);
    }
  });

  it('close with the cluster, idle ones at once and others as they end; a pinned request may still choose', () => {
    const context = clusterContext();
    const two = cluster({ outlierDetection: {} }, endpoints([['a', 'b']]), context);
    const busy = start(two);
    const closes = two.hosts.map(connected);
    two.close();
    expect(closes.map((close) => close.mock.calls.length).sort()).toEqual([0, 1]);
    expect(choose(two)).toBeInstanceOf(Host);
    two.end(busy, 'default', ok);
    expect(closes.map((close) => close.mock.calls.length)).toEqual([1, 1]);
    expect(context.clock.pending).toBe(0);
  });
});
