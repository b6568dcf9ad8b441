import { describe, expect, it } from 'vitest';
import { readLoadReport } from '../load-balancing/load-report.js';
import { HeaderMap } from '../stream/header-map.js';
import { LoadRecorder } from './load-recorder.js';

function recorder(eventLoop = 0.5) {
  const state = { now: 0, measured: 0, eventLoop };
  const load = new LoadRecorder({ now: () => state.now, measure: () => (state.measured++, { eventLoop: state.eventLoop, cpuMs: 10 }) });
  return { state, load };
}

describe('load of this process', () => {
  it('is the event loop\'s utilisation with requests and errors a second, as means over a second', () => {
    const { state, load } = recorder();
    for (let second = 0; second < 10; second++) {
      for (let i = 0; i < 20; i++) load.record(i === 0);
      state.now += 1000;
      void load.text;
    }
    expect(load.metrics.applicationUtilization).toBeCloseTo(0.5, 2);
    expect(load.metrics.rps).toBeCloseTo(20, 1);
    expect(load.metrics.eps).toBeCloseTo(1, 1);
  });

  it('is measured a few times a second at most, and only when somebody asks', () => {
    const { state, load } = recorder();
    state.now = 10_000;
    expect(state.measured).toBe(0);
    for (let i = 0; i < 100; i++) {
      load.record(false);
      void load.text;
      state.now += 10;
    }
    expect(state.measured).toBe(4);
  });

  it('is read by our own balancer in both forms, with metrics of the application', () => {
    const { state, load } = recorder();
    state.now = 5000;
    load.record(false);
    load.setNamedMetric('queue', 7);
    load.setUtilization('disk', 0.25);
    load.setApplicationUtilization(0.75);
    for (const headers of [['endpoint-load-metrics', load.text], ['endpoint-load-metrics-bin', load.binary]]) {
      const report = readLoadReport(new HeaderMap(headers));
      expect(report?.applicationUtilization).toBe(0.75);
      expect(report?.rps).toBeGreaterThan(0);
      expect(report?.metric('named_metrics.queue')).toBe(7);
    }
    load.setNamedMetric('queue', undefined);
    expect(load.text).not.toContain('queue');
  });

  it('takes no numbers or names that nobody could read', () => {
    const { load } = recorder();
    expect(() => load.setNamedMetric('a,b', 1)).toThrow(/letters/);
    expect(() => load.setNamedMetric('a', Number.NaN)).toThrow(/0 or more/);
    expect(() => load.setUtilization('a', 1.5)).toThrow(/0 to 1/);
  });
});
