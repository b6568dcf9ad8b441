import { FakeClock } from '@weft/spiffe/testing';
import { describe, expect, it, vi } from 'vitest';
import type { ClusterConfig, HealthCheckConfig } from '../../resource/cluster-config.js';
import { Cluster } from '../cluster.js';
import { ClusterManager } from '../cluster-manager.js';
import { Host } from '../host.js';
import { clusterConfig, clusterContext, endpoint, endpoints, FakeXds, healthCheck, locality, resourceType } from '../test-support.js';
import type { HealthProber, ProbeResult } from './health-probe.js';

const well: ProbeResult = { healthy: true, degraded: false };
const refused: ProbeResult = { healthy: false, network: false, retriable: false, reason: 'status 500' };
const unreachable: ProbeResult = { healthy: false, network: true, retriable: false, reason: 'ECONNREFUSED' };

/** Answers when the test says so. */
class FakeProber implements HealthProber {
  /** Questions that wait for an answer, by address. */
  readonly asked = new Map<string, (result: ProbeResult) => void>();
  readonly closed: string[] = [];
  given = 0;

  probe(_config: HealthCheckConfig, host: Host) {
    const { address } = host.config;
    return {
      run: (done: (result: ProbeResult) => void) => {
        this.asked.set(address, done);
        return () => {
          this.given++;
          this.asked.delete(address);
        };
      },
      close: () => void this.closed.push(address),
    };
  }

  answer(address: string, result: ProbeResult): void {
    const done = this.asked.get(address);
    if (!done) throw new Error(`${address} is not asked`);
    this.asked.delete(address);
    done(result);
  }
}

function setup(check: Partial<HealthCheckConfig> = {}, config: Partial<ClusterConfig> = {}, addresses: readonly (string | ReturnType<typeof endpoint>)[] = ['a', 'b']) {
  const prober = new FakeProber();
  const clock = new FakeClock(0);
  const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  const onReady = vi.fn();
  const make = (more: Partial<HealthCheckConfig>, moreConfig: Partial<ClusterConfig> = {}) => clusterConfig({ healthyPanicThreshold: 0, healthCheck: healthCheck(more), ...config, ...moreConfig });
  const cluster = new Cluster(make(check), clusterContext({ prober, clock, logger }), onReady);
  cluster.setEndpoints(endpoints([locality(addresses)]));
  const choose = () => cluster.choose({ attempt: 0, priority: 'default' });
  const chosen = () => {
    const seen = new Set<string>();
    for (let i = 0; i < 10; i++) {
      const host = choose();
      seen.add(host instanceof Host ? host.config.address : String(host.flag));
    }
    return [...seen].sort().join(' ');
  };
  return { prober, clock, cluster, logger, onReady, chosen, make, use: () => cluster.begin(choose() as Host, 'default') };
}

describe('active health checks', () => {
  it('hosts are unhealthy until they pass once, and the cluster is ready when all were asked', () => {
    const { prober, cluster, onReady, chosen } = setup({ healthyThreshold: 3 });
    expect([cluster.ready, chosen()]).toEqual([false, 'UH']);
    prober.answer('a', well);
    expect([cluster.ready, onReady.mock.calls.length, chosen()]).toEqual([false, 0, 'a']);
    prober.answer('b', unreachable);
    expect([cluster.ready, onReady.mock.calls.length, chosen()]).toEqual([true, 1, 'a']);
  });

  it('a cluster is handed out only then, and one without hosts at once', () => {
    const xds = new FakeXds();
    const prober = new FakeProber();
    const manager = new ClusterManager({ xds, clusterType: resourceType('cluster'), endpointType: resourceType('endpoints'), ...clusterContext({ prober }), prober });
    const [handle, empty] = ['c', 'd'].map((name) => manager.acquire(name));
    for (const name of ['c', 'd']) xds.send(`cluster/${name}`, clusterConfig({ name, healthCheck: healthCheck() }));
    xds.send('endpoints/c', endpoints([['a']]));
    xds.send('endpoints/d', endpoints([[]]));
    expect([handle!.state, empty!.state]).toEqual(['pending', 'ready']);
    prober.answer('a', unreachable);
    expect(handle!.state).toBe('ready');
    manager.close();
  });

  it('an answer that says no counts at once, trouble of the network only so often in a row', () => {
    const { prober, clock, chosen } = setup({ unhealthyThreshold: 2 }, {}, ['a']);
    prober.answer('a', well);
    for (const [result, now] of [[unreachable, 'a'], [well, 'a'], [unreachable, 'a'], [unreachable, 'UH']] as const) {
      clock.advance(60_000);
      prober.answer('a', result);
      expect(chosen()).toBe(now);
    }
    clock.advance(60_000);
    prober.answer('a', well);
    expect(chosen()).toBe('UH');
    clock.advance(60_000);
    prober.answer('a', well);
    expect(chosen()).toBe('a');
    clock.advance(60_000);
    prober.answer('a', { ...refused, retriable: true });
    expect(chosen()).toBe('a');
    clock.advance(60_000);
    prober.answer('a', refused);
    expect(chosen()).toBe('UH');
  });

  it('no answer in time is a failure, and the question is given up', () => {
    const { prober, clock, logger } = setup({ timeoutMs: 500 }, {}, ['a']);
    clock.advance(499);
    expect(prober.given).toBe(0);
    clock.advance(1);
    expect(prober.given).toBe(1);
    expect(logger.warn).toHaveBeenCalledWith({ cluster: 'c', host: 'a:80', reason: 'no answer in 500 ms', firstCheck: true }, 'health check failed');
  });

  it('is asked seldom until the cluster has traffic, and by its state afterwards', () => {
    const { prober, clock, use } = setup({ intervalMs: 1000, noTrafficIntervalMs: 5000, noTrafficHealthyIntervalMs: 7000, unhealthyIntervalMs: 2000, unhealthyEdgeIntervalMs: 300, healthyEdgeIntervalMs: 400, unhealthyThreshold: 2, healthyThreshold: 2 }, {}, ['a']);
    const waits = (ms: number) => {
      clock.advance(ms - 1);
      expect(prober.asked.size).toBe(0);
      clock.advance(1);
      expect(prober.asked.size).toBe(1);
    };
    prober.answer('a', unreachable);
    waits(5000);
    prober.answer('a', well);
    waits(5000);
    prober.answer('a', well);
    waits(7000);
    use();
    prober.answer('a', well);
    waits(1000);
    prober.answer('a', unreachable);
    waits(300);
    prober.answer('a', unreachable);
    waits(2000);
    prober.answer('a', unreachable);
    waits(2000);
    prober.answer('a', well);
    waits(400);
  });

  it('is spread by jitter', () => {
    const { prober, clock } = setup({ intervalJitterMs: 100, intervalJitterPercent: 10, noTrafficHealthyIntervalMs: 1000 }, {}, ['a']);
    // The test's random number is 0: nothing is added.
    prober.answer('a', well);
    clock.advance(1000);
    expect(prober.asked.size).toBe(1);
    const late = new FakeClock(0);
    const lateProber = new FakeProber();
    const cluster = new Cluster(clusterConfig({ healthCheck: healthCheck({ initialJitterMs: 1000, intervalJitterMs: 100, intervalJitterPercent: 10, noTrafficHealthyIntervalMs: 1000 }) }), clusterContext({ prober: lateProber, clock: late, random: () => 0.5 }));
    cluster.setEndpoints(endpoints([['a']]));
    late.advance(499);
    expect(lateProber.asked.size).toBe(0);
    late.advance(1);
    lateProber.answer('a', well);
    late.advance(1099);
    expect(lateProber.asked.size).toBe(0);
    late.advance(1);
    expect(lateProber.asked.size).toBe(1);
  });

  it('a host that asks for little gets only what the others cannot carry', () => {
    const { prober, chosen } = setup();
    prober.answer('a', { healthy: true, degraded: true });
    expect(chosen()).toBe('a');
    prober.answer('b', well);
    // 140 · 1/2 = 70 of 100 for the healthy one; the random number of the test, 0, falls on it.
    expect(chosen()).toBe('b');
  });

  it('endpoints may be left out of it, and new ones not count until they were checked', () => {
    const { prober, cluster, chosen } = setup({}, { ignoreNewHostsUntilFirstHc: true }, ['a', endpoint('b', { healthCheck: { disabled: true } })]);
    expect(chosen()).toBe('b');
    prober.answer('a', well);
    cluster.setEndpoints(endpoints([locality(['a', endpoint('b', { healthCheck: { disabled: true } }), 'c', 'd', 'e', 'f'])], { }));
    // Of two hosts that count both are well: all the load stays.
    expect(cluster.availability.map(({ healthy, total }) => [healthy, total])).toEqual([[2, 2]]);
    prober.answer('c', unreachable);
    expect(cluster.availability.map(({ healthy, total }) => [healthy, total])).toEqual([[2, 3]]);
  });

  it('a host that left discovery stays while it is well, unless configured otherwise', () => {
    const stays = setup();
    for (const address of ['a', 'b']) stays.prober.answer(address, well);
    stays.cluster.setEndpoints(endpoints([['b']]));
    expect(stays.chosen()).toBe('a b');
    stays.clock.advance(60_000);
    stays.prober.answer('a', refused);
    expect([stays.chosen(), stays.cluster.hosts.length, stays.prober.closed]).toEqual(['b', 1, ['a']]);

    const goes = setup({}, { ignoreHealthOnHostRemoval: true });
    for (const address of ['a', 'b']) goes.prober.answer(address, well);
    goes.cluster.setEndpoints(endpoints([['b']]));
    expect([goes.chosen(), goes.cluster.hosts.length]).toEqual(['b', 1]);
  });

  it('a passed check ends an ejection, unless configured otherwise', () => {
    for (const [allowed, after] of [[undefined, 'a'], [false, 'UH']] as const) {
      const { prober, clock, cluster, chosen } = setup({ noTrafficHealthyIntervalMs: 5000 }, { outlierDetection: { consecutive5xx: 1, maxEjectionPercent: 100, ...(allowed !== undefined && { successfulActiveHealthCheckUnejectHost: allowed }) } }, ['a']);
      prober.answer('a', well);
      const host = cluster.hosts[0] as Host;
      cluster.begin(host, 'default');
      cluster.end(host, 'default', { status: 500, durationMs: 1 });
      expect(chosen()).toBe('UH');
      clock.advance(5000);
      prober.answer('a', well);
      expect(chosen()).toBe(after);
      cluster.close();
    }
  });

  it('new settings keep the health that is known; without checks everybody is well', () => {
    const { prober, cluster, chosen, make } = setup();
    prober.answer('a', well);
    prober.answer('b', refused);
    cluster.update(make({ intervalMs: 77 }));
    expect([chosen(), cluster.ready, prober.closed.sort()]).toEqual(['a', true, ['a', 'b']]);
    prober.answer('b', well);
    expect(chosen()).toBe('a b');
    prober.answer('a', refused);
    const { healthCheck: _none, ...without } = make({});
    cluster.update(without);
    expect(chosen()).toBe('a b');
  });

  it('a cluster does not wait for checks that were taken back', () => {
    const { cluster, chosen, make } = setup();
    expect(cluster.ready).toBe(false);
    const { healthCheck: _none, ...without } = make({});
    cluster.update(without);
    expect([cluster.ready, chosen()]).toEqual([true, 'a b']);
  });

  it('checks that come later do not take hosts out before they are asked', () => {
    const { cluster, prober, chosen, make } = setup({}, {}, []);
    const { healthCheck: _none, ...without } = make({});
    cluster.update(without);
    cluster.setEndpoints(endpoints([['a', 'b']]));
    cluster.update(make({ unhealthyThreshold: 1 }));
    expect(chosen()).toBe('a b');
    prober.answer('a', unreachable);
    expect(chosen()).toBe('b');
  });

  it('its events are lines of the log, every check where that is asked for', () => {
    const { prober, clock, logger } = setup({ logFailures: true, logSuccesses: true, unhealthyThreshold: 2 }, {}, ['a']);
    prober.answer('a', well);
    for (const result of [well, unreachable, unreachable]) {
      clock.advance(60_000);
      prober.answer('a', result);
    }
    expect(logger.info.mock.calls.map(([, message]) => message as string)).toEqual(['host is healthy by its health check', 'health check passed']);
    expect(logger.warn.mock.calls.map(([, message]) => message as string)).toEqual(['health check failed', 'host is unhealthy by its health check']);
  });

  it('ends with the cluster', () => {
    const { prober, clock, cluster } = setup();
    prober.answer('a', well);
    cluster.close();
    expect([clock.pending, prober.closed.sort(), prober.asked.size]).toEqual([0, ['a', 'b'], 0]);
  });
});
