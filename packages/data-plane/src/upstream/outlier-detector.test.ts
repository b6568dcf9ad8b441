import { describe, expect, it } from 'vitest';
import type { OutlierDetectionConfig } from '../resource/cluster-config.js';
import type { Host } from './host.js';
import type { AttemptOutcome } from './upstream-cluster.js';
import { cluster, clusterConfig, clusterContext, endpoints } from './test-support.js';

function setup(outlierDetection: OutlierDetectionConfig, count = 10) {
  const context = clusterContext();
  const addresses = Array.from({ length: count }, (_, i) => `h${i}`);
  const made = cluster({ outlierDetection }, endpoints([addresses]), context);
  const record = (index: number, outcome: Omit<AttemptOutcome, 'durationMs'>, times = 1) => {
    for (let i = 0; i < times; i++) {
      made.begin(made.hosts[index] as Host, 'default');
      made.end(made.hosts[index] as Host, 'default', { ...outcome, durationMs: 1 });
    }
  };
  const ejected = () => made.hosts.flatMap((host, index) => (host.ejected ? [index] : []));
  return { made, record, ejected, clock: context.clock };
}

describe('consecutive failures', () => {
  it('eject after five 5xx in a row, and a success starts the count anew', () => {
    const { record, ejected } = setup({});
    record(0, { status: 500 }, 4);
    record(0, { status: 200 });
    record(0, { status: 500 }, 4);
    expect(ejected()).toEqual([]);
    record(0, { status: 500 });
    expect(ejected()).toEqual([0]);
  });

  it.each<[Omit<AttemptOutcome, 'durationMs'>, boolean]>([
    [{ status: 599 }, true], [{ status: 499 }, false], [{ failure: 'connect-failure' }, true], [{ failure: 'per-try-timeout' }, true], [{ failure: 'reset' }, true], [{ failure: 'identity' }, true],
    [{ status: 200, grpcStatus: 14, trailersOnly: true }, true], [{ status: 200, grpcStatus: 13, trailersOnly: true }, true], [{ status: 200, grpcStatus: 5, trailersOnly: true }, false], [{ status: 200, grpcStatus: 13 }, false], [{ status: 200, failure: 'reset' }, false], [{ status: 200, grpcStatus: 0 }, false], [{}, false],
  ])('%j five times ejects: %s', (outcome, expected) => {
    const { record, ejected } = setup({});
    record(0, outcome, 5);
    expect(ejected()).toEqual(expected ? [0] : []);
  });

  it('what the caller cancelled neither counts nor resets', () => {
    const { record, ejected } = setup({});
    record(0, { status: 500 }, 4);
    record(0, {});
    record(0, { status: 500 });
    expect(ejected()).toEqual([0]);
  });

  it('gateway failures are 502 to 504 and local errors, and only where enforced', () => {
    const config = { enforcingConsecutive5xx: 0, consecutiveGatewayFailure: 3, enforcingConsecutiveGatewayFailure: 100 };
    const { record, ejected } = setup({ ...config, maxEjectionPercent: 100 });
    record(0, { status: 500 }, 10);
    record(1, { status: 503 }, 3);
    record(2, { failure: 'connect-failure' }, 3);
    record(3, { status: 502 }, 2);
    expect(ejected()).toEqual([1, 2]);
    const lenient = setup({ enforcingConsecutive5xx: 0 });
    lenient.record(0, { status: 503 }, 50);
    expect(lenient.ejected()).toEqual([]);
  });

  it('split mode counts local errors apart', () => {
    const { record, ejected } = setup({ splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailure: 3, maxEjectionPercent: 100 });
    record(0, { status: 500 }, 4);
    record(0, { failure: 'reset' }, 2);
    expect(ejected()).toEqual([]);
    record(0, { failure: 'reset' });
    expect(ejected()).toEqual([0]);
    record(1, { failure: 'reset' }, 2);
    record(1, { status: 200 });
    record(1, { failure: 'reset' }, 2);
    expect(ejected()).toEqual([0]);
  });

  it('split mode: a local error says nothing about 5xx', () => {
    const { record, ejected } = setup({ splitExternalLocalOriginErrors: true });
    record(0, { status: 500 }, 4);
    record(0, { failure: 'reset' });
    record(0, { status: 500 });
    expect(ejected()).toEqual([0]);
  });

  it('an ejected host gets no requests', () => {
    const { made, record } = setup({ alwaysEjectOneHost: true }, 3);
    record(0, { status: 500 }, 5);
    const chosen = new Set(Array.from({ length: 12 }, () => (made.choose({ attempt: 0, priority: 'default' }) as Host).config.address));
    expect(chosen).toEqual(new Set(['h1', 'h2']));
  });
});

describe('limits of ejection', () => {
  it('10 % by default: one of ten, none of nine', () => {
    const ten = setup({});
    ten.record(0, { status: 500 }, 5);
    ten.record(1, { status: 500 }, 5);
    expect(ten.ejected()).toEqual([0]);
    const nine = setup({}, 9);
    nine.record(0, { status: 500 }, 5);
    expect(nine.ejected()).toEqual([]);
  });

  it('always_eject_one_host lets the first through', () => {
    const { record, ejected } = setup({ alwaysEjectOneHost: true }, 3);
    record(0, { status: 500 }, 5);
    record(1, { status: 500 }, 5);
    expect(ejected()).toEqual([0]);
  });

  it('a host that could not be ejected is judged anew after as many failures', () => {
    const { record, ejected, clock } = setup({ alwaysEjectOneHost: true, baseEjectionTimeMs: 1000 }, 3);
    record(0, { status: 500 }, 5);
    record(1, { status: 500 }, 9);
    clock.advance(10_000);
    expect(ejected()).toEqual([]);
    record(1, { status: 500 });
    expect(ejected()).toEqual([1]);
  });
});

describe('length of ejection', () => {
  it('is base × multiplier, looked at once an interval; healthy intervals lower the multiplier', () => {
    const { record, ejected, clock } = setup({ intervalMs: 10_000, baseEjectionTimeMs: 30_000 });
    const ejectedFor = () => {
      record(0, { status: 500 }, 5);
      const from = clock.now();
      while (ejected().length > 0) clock.advance(1000);
      return clock.now() - from;
    };
    expect(ejectedFor()).toBe(30_000);
    expect(ejectedFor()).toBe(60_000);
    expect(ejectedFor()).toBe(90_000);
    clock.advance(20_000);
    expect(ejectedFor()).toBe(60_000);
    clock.advance(1000);
    // Ejected 1 s after a tick: the return waits for the tick after 90 s.
    expect(ejectedFor()).toBe(99_000);
  });

  it('is at most max_ejection_time, plus a jitter that is drawn once', () => {
    const { record, ejected, clock } = setup({ intervalMs: 1000, baseEjectionTimeMs: 5000, maxEjectionTimeMs: 10_000, maxEjectionTimeJitterMs: 4000 });
    for (const expected of [5000, 10_000, 10_000, 10_000]) {
      record(0, { status: 500 }, 5);
      const from = clock.now();
      while (ejected().length > 0) clock.advance(1000);
      expect(clock.now() - from).toBe(expected);
    }
  });

  it('goes on growing by one step past the maximum, which two healthy intervals then take back', () => {
    const { record, ejected, clock } = setup({ intervalMs: 1000, baseEjectionTimeMs: 5000, maxEjectionTimeMs: 10_000 });
    const ejectedFor = () => {
      record(0, { status: 500 }, 5);
      const from = clock.now();
      while (ejected().length > 0) clock.advance(1000);
      return clock.now() - from;
    };
    for (let i = 0; i < 4; i++) ejectedFor();
    clock.advance(2000);
    expect(ejectedFor()).toBe(10_000);
  });

  it('wipes what was counted meanwhile', () => {
    const { record, ejected, clock } = setup({});
    record(0, { status: 500 }, 9);
    clock.advance(30_000);
    record(0, { status: 500 }, 4);
    expect(ejected()).toEqual([]);
  });

  it('ends when outlier detection is switched off', () => {
    const { made, record, ejected, clock } = setup({});
    record(0, { status: 500 }, 5);
    made.update(clusterConfig());
    expect(ejected()).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('survives endpoint updates', () => {
    const { made, record, ejected } = setup({});
    record(0, { status: 500 }, 5);
    made.setEndpoints(endpoints([Array.from({ length: 12 }, (_, i) => `h${i}`)]));
    expect(ejected()).toEqual([0]);
  });
});

describe('intervals', () => {
  const all = { maxEjectionPercent: 100, enforcingConsecutive5xx: 0 };

  it('eject hosts whose success rate is far below the mean', () => {
    const { record, ejected, clock } = setup({ ...all, successRateRequestVolume: 10 }, 10);
    for (let i = 0; i < 10; i++) record(i, { status: 200 }, i === 3 ? 5 : 10);
    record(3, { status: 500 }, 5);
    expect(ejected()).toEqual([]);
    clock.advance(10_000);
    expect(ejected()).toEqual([3]);
  });

  it('judge no success rate with too few hosts or requests', () => {
    const few = setup({ ...all, successRateRequestVolume: 10 }, 4);
    for (let i = 0; i < 4; i++) few.record(i, { status: i === 0 ? 500 : 200 }, 20);
    few.clock.advance(10_000);
    expect(few.ejected()).toEqual([]);
    const quiet = setup({ ...all, successRateRequestVolume: 21 }, 10);
    for (let i = 0; i < 10; i++) quiet.record(i, { status: i === 0 ? 500 : 200 }, 20);
    quiet.clock.advance(10_000);
    expect(quiet.ejected()).toEqual([]);
  });

  it('eject by failure percentage where enforced, counting each interval anew', () => {
    const { record, ejected, clock } = setup({ ...all, enforcingSuccessRate: 0, enforcingFailurePercentage: 100, failurePercentageMinimumHosts: 1, failurePercentageRequestVolume: 10 }, 3);
    record(0, { status: 500 }, 17);
    record(0, { status: 200 }, 3);
    record(1, { status: 500 }, 16);
    record(1, { status: 200 }, 4);
    record(2, { status: 500 }, 9);
    clock.advance(10_000);
    expect(ejected()).toEqual([0]);
    record(2, { status: 500 }, 9);
    clock.advance(10_000);
    expect(ejected()).toEqual([0]);
  });
});
