import { FakeClock } from '@weft/spiffe/testing';
import { describe, expect, it } from 'vitest';
import { GradientController, type GradientOptions } from './gradient-controller.js';

const defaults: GradientOptions = { percentile: 0.5, maxLimit: 1000, updateIntervalMs: 100, minRttIntervalMs: 60_000, minRttRequests: 5, minRttJitter: 0, minLimit: 3, buffer: 0.25 };

function setup(more: Partial<GradientOptions> = {}, random = () => 0) {
  const clock = new FakeClock(0);
  const controller = new GradientController({ ...defaults, ...more }, { now: () => clock.now(), setTimeout: (run, ms) => clock.setTimeout(run, ms), random });
  /** One after the other. */
  const requests = (count: number, latencyMs: number) => {
    for (let i = 0; i < count; i++) {
      expect(controller.begin()).toBe(true);
      clock.advance(latencyMs);
      controller.end(latencyMs);
    }
  };
  /** Of one window, all at once, without letting time pass. */
  const window = (...latencies: number[]) => {
    for (const latency of latencies) {
      controller.begin();
      controller.end(latency);
    }
    clock.advance(100);
  };
  return { clock, controller, requests, window };
}

describe('the gradient controller', () => {
  it('first measures the smallest latency, with few at a time', () => {
    const { controller, requests } = setup();
    expect([controller.begin(), controller.begin(), controller.begin(), controller.begin()]).toEqual([true, true, true, false]);
    for (let i = 0; i < 3; i++) controller.end(undefined);
    requests(5, 10);
    expect([controller.minRttMs, controller.limit]).toEqual([10, 3]);
  });

  it('grows by the root of the limit while latency stays near, at most to its maximum', () => {
    const { controller, requests, window } = setup({ maxLimit: 40 });
    requests(5, 10);
    // (10 · 1.25) / 10 = 1.25: 3 · 1.25 + √3.75 = 5.68
    window(10, 10, 10);
    expect(controller.limit).toBe(5);
    // Twice is the most: 5 · 2 + √10 = 13.16
    window(1);
    expect(controller.limit).toBe(13);
    window(1);
    window(1);
    expect(controller.limit).toBe(40);
  });

  it('shrinks by half at most, and not below its minimum', () => {
    const { controller, requests, window } = setup();
    requests(5, 10);
    window(1);
    window(1);
    window(1);
    const before = controller.limit;
    window(1000);
    expect(controller.limit).toBe(Math.floor(before / 2 + Math.sqrt(before / 2)));
    for (let i = 0; i < 6; i++) window(1000);
    expect(controller.limit).toBe(3);
  });

  it('goes by the percentile of its window; one without samples changes nothing', () => {
    const { controller, requests, window } = setup({ percentile: 0.9 });
    requests(5, 10);
    window(1, 1, 1, 1, 1, 1, 1, 1, 10, 1000);
    expect(controller.limit).toBe(5);
    window();
    expect(controller.limit).toBe(5);
  });

  it('measures anew after its interval and a chance of more, and puts the limit back', () => {
    const { clock, controller, requests, window } = setup({ minRttIntervalMs: 1000, minRttJitter: 0.5 }, () => 0.5);
    requests(5, 10);
    window(10);
    expect(controller.limit).toBe(5);
    clock.advance(1149);
    expect(controller.limit).toBe(5);
    clock.advance(1);
    expect(controller.limit).toBe(3);
    // From before the measurement: its latency is that of more at a time.
    controller.begin();
    controller.end(5000);
    requests(5, 20);
    expect([controller.minRttMs, controller.limit]).toEqual([20, 5]);
  });

  it('measures anew when it stays at the minimum: what was smallest is not any more', () => {
    const { controller, requests, window } = setup();
    requests(5, 10);
    for (let i = 0; i < 4; i++) window(100);
    requests(5, 100);
    for (let i = 0; i < 2; i++) window(100);
    requests(5, 100);
    expect(controller.minRttMs).toBe(100);
  });

  it('leaves no timer behind', () => {
    const { clock, controller, requests } = setup();
    requests(5, 10);
    expect(clock.pending).toBe(2);
    controller.close();
    expect(clock.pending).toBe(0);
  });
});
