import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../route/test-support.js';
import { AdaptiveLimit } from './adaptive-limit.js';
import { LatencyHistogram } from './latency-histogram.js';
import { judge, simulate, type SimulatedService, type Simulation } from './load-simulation.js';

const exponential = (mean: number) => (random: () => number) => -Math.log(1 - random()) * mean;
const lognormal = (mean: number, variation: number) => {
  const variance = Math.log(1 + variation ** 2);
  return (random: () => number) => Math.exp(Math.log(mean) - variance / 2 + Math.sqrt(variance) * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
};

const services: readonly (SimulatedService & { thresholdMs: number })[] = [
  { name: 'one event loop, 2 ms of CPU (exponential)', workers: 1, work: exponential(2), capacity: 500, thresholdMs: 50 },
  { name: '4 workers, 10 ms exactly', workers: 4, work: () => 10, capacity: 400, thresholdMs: 60 },
  { name: '8 workers, 20 ms (lognormal, as wide as its mean)', workers: 8, work: lognormal(20, 1), capacity: 400, thresholdMs: 250 },
  { name: '32 workers, 40 ms (exponential)', workers: 32, work: exponential(40), capacity: 800, thresholdMs: 500 },
];

function run(service: (typeof services)[number], rate: (second: number) => number, more: Partial<Simulation> = {}) {
  const { thresholdMs = service.thresholdMs } = more;
  const random = seededRandom(42);
  const seconds = simulate({ service, seconds: 200, rate, thresholdMs, clients: 1, random, breaker: (now) => new AdaptiveLimit({ thresholdMs, now }), ...more });
  return judge(seconds, thresholdMs, (second) => service.capacity * (more.speed?.(second) ?? 1));
}

describe.each(services)('the adaptive limit, before $name', (service) => {
  it.each([0.5, 0.8, 1, 1.2, 1.5, 2, 3])('offered %f of capacity: the tail stays under the threshold and little is given away', (load) => {
    const { secondsWithin, goodput } = run(service, () => load * service.capacity);
    expect(secondsWithin).toBeGreaterThanOrEqual(0.99);
    expect(goodput).toBeGreaterThanOrEqual(0.9);
  });

  it('follows a load that jumps between half and three times the capacity', () => {
    const { secondsWithin, goodput } = run(service, (second) => [0.5, 3, 0.7, 2][Math.floor(second / 50) % 4]! * service.capacity);
    expect(secondsWithin).toBeGreaterThanOrEqual(0.99);
    expect(goodput).toBeGreaterThanOrEqual(0.9);
  });

  it('shared by four processes that do not know of each other', () => {
    const { secondsWithin, goodput } = run(service, () => 2 * service.capacity, { clients: 4 });
    expect(secondsWithin).toBeGreaterThanOrEqual(0.98);
    expect(goodput).toBeGreaterThanOrEqual(0.9);
  });

  it('comes back within seconds when the service becomes half as fast', () => {
    const { secondsWithin, goodput } = run(service, () => 1.5 * service.capacity, { thresholdMs: 2 * service.thresholdMs, speed: (second) => (Math.floor(second / 50) % 2 === 0 ? 1 : 0.5) });
    expect(secondsWithin).toBeGreaterThanOrEqual(0.96);
    expect(goodput).toBeGreaterThanOrEqual(0.9);
  });

  it('without it, twice the capacity is answered by nobody in time', () => {
    const { secondsWithin } = run(service, () => 2 * service.capacity, { seconds: 20, breaker: () => ({ begin: () => true, end() {} }) });
    expect(secondsWithin).toBeLessThan(0.3);
  });
});

describe('the adaptive limit', () => {
  it('always lets one request through, and learns nothing from callers that give up', () => {
    let now = 0;
    const limit = new AdaptiveLimit({ thresholdMs: 10, now: () => now });
    for (let i = 0; i < 200; i++) {
      expect(limit.begin()).toBe(true);
      now += 1000;
      limit.end(1000);
    }
    expect(limit.limit).toBe(1);
    expect([limit.begin(), limit.begin()]).toEqual([true, false]);
    limit.end(undefined);
    expect([limit.running, limit.limit]).toEqual([0, 1]);
  });
});

describe('a latency histogram', () => {
  it('knows quantiles within 5 %, and forgets', () => {
    const histogram = new LatencyHistogram();
    expect(histogram.quantile(0.5)).toBeNaN();
    for (let ms = 1; ms <= 1000; ms++) histogram.add(ms);
    expect(histogram.quantile(0.99) / 990).toBeCloseTo(1.025, 1);
    expect(histogram.mean).toBe(500.5);
    histogram.fade(0.001);
    for (let i = 0; i < 100; i++) histogram.add(5);
    expect(histogram.quantile(0.5)).toBeCloseTo(5, 0);
    histogram.add(0);
    histogram.add(1e9);
    expect(histogram.quantile(1)).toBeGreaterThan(1e6);
  });
});
