import { create, toBinary, type MessageInitShape } from '@weft/xds-api/protobuf';
import { AdaptiveBreakerSchema, AdaptiveConcurrencySchema, AdmissionControlSchema, ErrorRateBreakerSchema } from '@weft/xds-api/filter-overload';
import { FakeClock } from '@weft/spiffe/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { filterRoute, requestHead, seededRandom, streamInfo } from '../../route/test-support.js';
import type { LocalReply } from '../../stream/local-reply.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import { Stats } from '../../telemetry/stats.js';
import type { HttpFilterFactory } from '../http-filter.js';
import { noBodies } from '../test-filters.js';
import { adaptiveBreaker } from './adaptive-breaker.js';
import { adaptiveConcurrency } from './adaptive-concurrency.js';
import { admissionControl } from './admission-control.js';
import { errorRateBreaker } from './error-rate-breaker.js';

function setup<Config>(factory: HttpFilterFactory<Config>, config: Config, random = () => 0) {
  const clock = new FakeClock(0);
  const stats = new Stats();
  const filter = factory.create({ random, now: () => clock.now(), setTimeout: (run, ms) => clock.setTimeout(run, ms), stats });
  const make = filter.forRoute(config, undefined, filterRoute());
  const start = (more: Partial<StreamInfo> = {}) => {
    const info = streamInfo({ clusterName: 'c', ...more });
    const stream = make!();
    const reply = stream.decodeHeaders?.(requestHead(), info, noBodies) as LocalReply | undefined;
    return { reply, end: (outcome: Partial<StreamInfo> = { status: 200 }) => stream.onComplete?.(Object.assign(info, reply ? { status: reply.status } : outcome)) };
  };
  /** Whether it was let through. */
  const request = (outcome?: Partial<StreamInfo>, more?: Partial<StreamInfo>) => {
    const { reply, end } = start(more);
    end(outcome);
    return reply === undefined;
  };
  return { clock, stats, filter, make, start, request };
}

describe('adaptive concurrency', () => {
  const parse = (init: MessageInitShape<typeof AdaptiveConcurrencySchema>) => adaptiveConcurrency.parse('', toBinary(AdaptiveConcurrencySchema, create(AdaptiveConcurrencySchema, init)));
  const controller = { case: 'gradientControllerConfig', value: { concurrencyLimitParams: { concurrencyUpdateInterval: { nanos: 100_000_000 } }, minRttCalcParams: { interval: { seconds: 60n }, minConcurrency: 2 } } } as const;

  it('refuses what is over the limit, and takes the next when one is done', () => {
    const { start } = setup(adaptiveConcurrency, parse({ concurrencyControllerConfig: controller }));
    const running = [start(), start()];
    expect(start().reply).toEqual({ status: 503, body: 'reached concurrency limit', details: 'reached_concurrency_limit' });
    running[0]!.end();
    expect(start().reply).toBeUndefined();
  });

  it('answers with its own status where that is an error', () => {
    const with429 = setup(adaptiveConcurrency, parse({ concurrencyControllerConfig: controller, concurrencyLimitExceededStatus: { code: 429 } }));
    with429.start();
    with429.start();
    expect(with429.start().reply?.status).toBe(429);
    expect(parse({ concurrencyControllerConfig: controller, concurrencyLimitExceededStatus: { code: 200 } }).status).toBe(503);
  });

  it('is nothing where it is disabled, and says what is missing', () => {
    expect(setup(adaptiveConcurrency, parse({ concurrencyControllerConfig: controller, enabled: { defaultValue: false } })).make).toBeUndefined();
    expect(() => parse({})).toThrow(/gradient_controller_config.*is required/);
    expect(() => parse({ concurrencyControllerConfig: { case: 'gradientControllerConfig', value: { minRttCalcParams: { requestCount: 0 } } } })).toThrow(/concurrency_update_interval: is required.*min_rtt_calc_params\.interval: is required.*request_count: must be greater than 0/s);
  });
});

describe('admission control', () => {
  const parse = (init: MessageInitShape<typeof AdmissionControlSchema> = {}) => admissionControl.parse('', toBinary(AdmissionControlSchema, create(AdmissionControlSchema, { evaluationCriteria: { case: 'successCriteria', value: {} }, ...init })));
  const failure = { status: 503 };

  it('lets everything through while the success rate is above the threshold', () => {
    const { request } = setup(admissionControl, parse());
    for (let i = 0; i < 96; i++) request();
    for (let i = 0; i < 4; i++) request(failure);
    expect(request()).toBe(true);
  });

  it('refuses by (n − s / threshold) / (n + 1), up to its maximum', () => {
    // 100 requests, 38 successes: (100 − 38 / 0.95) / 101 = 0.594
    const share = 60 / 101;
    let drawn = share - 0.001;
    const { request } = setup(admissionControl, parse(), () => drawn);
    const counted = (refused: boolean) => !refused;
    drawn = 1;
    for (let i = 0; i < 38; i++) request();
    for (let i = 0; i < 62; i++) request(failure);
    drawn = share - 0.001;
    expect(counted(request())).toBe(true);
    drawn = share + 0.001;
    expect(request()).toBe(true);
    const { request: most } = setup(admissionControl, parse({ maxRejectionProbability: { defaultValue: { value: 30 } } }), () => drawn);
    drawn = 1;
    for (let i = 0; i < 100; i++) most(failure);
    drawn = 0.29;
    expect(most()).toBe(false);
    drawn = 0.31;
    expect(most()).toBe(true);
  });

  it('its aggression takes the root', () => {
    let drawn = 1;
    const { request } = setup(admissionControl, parse({ aggression: { defaultValue: 2 } }), () => drawn);
    for (let i = 0; i < 38; i++) request();
    for (let i = 0; i < 62; i++) request(failure);
    drawn = Math.sqrt(60 / 101) - 0.001;
    expect(request()).toBe(false);
  });

  it('forgets what is older than its window, and is quiet below its rate', () => {
    let drawn = 1;
    const { clock, request } = setup(admissionControl, parse({ samplingWindow: { seconds: 5n }, rpsThreshold: { defaultValue: 2 } }), () => drawn);
    for (let i = 0; i < 9; i++) request(failure);
    drawn = 0;
    expect(request(failure)).toBe(true);
    expect(request(failure)).toBe(false);
    clock.advance(5000);
    expect(request(failure)).toBe(true);
  });

  it('judges gRPC by its statuses, HTTP by its ranges', () => {
    const { isSuccess } = parse();
    const grpc = (grpcStatus?: number) => isSuccess(streamInfo({ protocol: 'grpc', status: 200, ...(grpcStatus !== undefined && { grpcStatus }) }));
    expect([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16].filter((status) => !grpc(status))).toEqual([4, 8, 10, 13, 14, 15]);
    expect(grpc()).toBe(false);
    const own = parse({ evaluationCriteria: { case: 'successCriteria', value: { httpCriteria: { httpSuccessStatus: [{ start: 200, end: 300 }] }, grpcCriteria: { grpcSuccessStatus: [14] } } } });
    expect([200, 299, 300, 500].map((status) => own.isSuccess(streamInfo({ status })))).toEqual([true, true, false, false]);
    expect(own.isSuccess(streamInfo({ protocol: 'grpc', status: 200, grpcStatus: 14 }))).toBe(true);
    expect(() => parse({ evaluationCriteria: { case: undefined } })).toThrow('success_criteria: is required');
    expect(() => parse({ samplingWindow: { nanos: 1 }, srThreshold: { defaultValue: { value: 101 } } })).toThrow(/sr_threshold.*0 to 100|sampling_window/s);
  });
});

describe('the error-rate breaker', () => {
  // opossum's own timer is Node's.
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }));
  afterEach(() => void vi.useRealTimers());

  const parse = (init: object = {}) => errorRateBreaker.parse('', toBinary(ErrorRateBreakerSchema, create(ErrorRateBreakerSchema, { volumeThreshold: 4, resetTimeout: { seconds: 1n }, ...init } as MessageInitShape<typeof ErrorRateBreakerSchema>)));
  const failure = { status: 500 };
  // opossum learns of an outcome in a microtask.
  const settled = () => vi.advanceTimersByTimeAsync(0);

  async function opened(init?: object, more?: Partial<StreamInfo>) {
    const test = setup(errorRateBreaker, parse(init));
    for (let i = 0; i < 4; i++) test.request(failure, more);
    await settled();
    return test;
  }

  it('opens when enough of enough requests failed, and says so to the caller and in the metrics', async () => {
    const { request, start, stats } = await opened();
    expect(start().reply).toEqual({ status: 503, body: 'error-rate breaker is open', headers: [['x-envoy-overloaded', 'true']], flag: 'UO', details: 'error_rate_breaker_open' });
    expect(request(undefined, { clusterName: 'other' })).toBe(true);
    const [family] = [...stats.families()];
    expect([family?.name, ...[...family!].map(({ values, metric }) => [...values, (metric as { value: number }).value])]).toEqual(['weft_error_rate_breaker_open', ['c', '', 1], ['other', '', 0]]);
  });

  it('stays closed below its volume and its share, and for callers that give up', async () => {
    const { request } = setup(errorRateBreaker, parse());
    for (let i = 0; i < 3; i++) request(failure);
    await settled();
    for (let i = 0; i < 40; i++) request(i % 2 === 0 ? failure : undefined);
    for (let i = 0; i < 40; i++) request({ status: 0, flags: ['DC'] });
    await settled();
    expect(request()).toBe(true);
  });

  it('lets one through after its time, which closes it or not', async () => {
    const { start, request } = await opened();
    await vi.advanceTimersByTimeAsync(1000);
    const trial = start();
    expect([trial.reply, request()]).toEqual([undefined, false]);
    trial.end(failure);
    await settled();
    expect(request()).toBe(false);
    await vi.advanceTimersByTimeAsync(1000);
    expect(request()).toBe(true);
    await settled();
    expect([request(), request()]).toEqual([true, true]);
  });

  it('a trial that hangs, or that its caller gives up, does not keep others out for ever', async () => {
    const { start, request, clock } = await opened();
    await vi.advanceTimersByTimeAsync(1000);
    expect(start().reply).toBeUndefined();
    clock.advance(1000);
    await settled();
    expect(request()).toBe(false);
    await vi.advanceTimersByTimeAsync(1000);
    const trial = start();
    trial.end({ status: 0, flags: ['DC'] });
    await settled();
    expect(request()).toBe(false);
    await vi.advanceTimersByTimeAsync(1000);
    expect(request()).toBe(true);
  });

  it('forgets failures when their window is over', async () => {
    const { clock, request } = setup(errorRateBreaker, parse());
    for (let i = 0; i < 3; i++) request(failure);
    await settled();
    clock.advance(10_000);
    for (let i = 0; i < 4; i++) request();
    request(failure);
    await settled();
    expect(request()).toBe(true);
  });

  it('is one for each route where it is asked for', async () => {
    const { request } = await opened({ scope: 1 }, { routeName: 'a' });
    expect([request(undefined, { routeName: 'a' }), request(undefined, { routeName: 'b' })]).toEqual([false, true]);
  });

  it('leaves no timer behind, and says what is wrong', async () => {
    const { clock, filter } = await opened();
    expect(clock.pending).toBe(1);
    filter.close?.();
    expect([clock.pending, vi.getTimerCount()]).toEqual([0, 0]);
    expect(() => parse({ errorThresholdPercent: 200, scope: 9 })).toThrow(/error_threshold_percent: must be 0 to 100, is 200.*scope: unknown value 9/s);
  });
});

describe('the adaptive breaker', () => {
  const parse = (init: MessageInitShape<typeof AdaptiveBreakerSchema>) => adaptiveBreaker.parse('', toBinary(AdaptiveBreakerSchema, create(AdaptiveBreakerSchema, init)));

  it('lets few through before it knows more, one limit for each cluster', () => {
    const { start } = setup(adaptiveBreaker, parse({ latencyThreshold: { nanos: 100_000_000 } }));
    const running = Array.from({ length: 20 }, () => start());
    expect(running.every(({ reply }) => reply === undefined)).toBe(true);
    expect(start().reply).toMatchObject({ status: 503, flag: 'UO', headers: [['x-envoy-overloaded', 'true']], details: 'adaptive_breaker' });
    expect(start({ clusterName: 'other' }).reply).toBeUndefined();
    running[0]!.end();
    expect(start().reply).toBeUndefined();
  });

  it('says what is wrong', () => {
    expect(() => parse({})).toThrow('latency_threshold: is required');
    expect(() => parse({ latencyThreshold: { seconds: 1n }, minConcurrency: 0, maxConcurrency: 0 })).toThrow('min_concurrency: must be 1 or more');
  });
});

it('random admission keeps near its share', () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const { request } = setup(admissionControl, admissionControl.parse('', toBinary(AdmissionControlSchema, create(AdmissionControlSchema, { evaluationCriteria: { case: 'successCriteria', value: {} } }))), seededRandom(seed));
  let refused = 0;
  for (let i = 0; i < 5000; i++) if (!request({ status: 503 })) refused++;
  // All fail: refused with 80 % from the first hundred on.
  expect(refused / 5000, `seed ${seed}`).toBeGreaterThan(0.75);
  expect(refused / 5000, `seed ${seed}`).toBeLessThan(0.82);
});
