import { create, toBinary, type MessageInitShape } from '@weft/xds-api/protobuf';
import { HTTPFaultSchema } from '@weft/xds-api/filter-fault';
import { RouterSchema } from '@weft/xds-api/http';
import { FakeClock } from '@weft/spiffe/testing';
import { describe, expect, it } from 'vitest';
import { filterRoute, requestHead, seededRandom, streamInfo } from '../../route/test-support.js';
import type { LocalReply } from '../../stream/local-reply.js';
import type { FilterResult } from '../http-filter.js';
import { noBodies } from '../test-filters.js';
import { parseFault } from './fault-config.js';
import { fault } from './fault.js';
import { router } from './router.js';

type Init = MessageInitShape<typeof HTTPFaultSchema>;

const parse = (init: Init) => parseFault(toBinary(HTTPFaultSchema, create(HTTPFaultSchema, init)));
const always = { numerator: 100 };
const httpAbort = (value: number, percentage = always): NonNullable<Init['abort']> => ({ errorType: { case: 'httpStatus', value }, percentage });
const delayOf = (seconds: number, percentage = always): NonNullable<Init['delay']> => ({ faultDelaySecifier: { case: 'fixedDelay', value: { seconds: BigInt(seconds) } }, percentage });

function setup(init: Init, random = () => 0) {
  const clock = new FakeClock(0);
  const filter = fault.create({ random, now: () => clock.now(), setTimeout: (run, ms) => clock.setTimeout(run, ms) });
  const make = filter.forRoute(parse(init), undefined, filterRoute());
  const run = (headers: Record<string, string> = {}, info = streamInfo()) => {
    const stream = make?.();
    const result = stream?.decodeHeaders?.(requestHead('/', headers), info, noBodies) as FilterResult;
    return { result, info, complete: () => stream?.onComplete?.(info) };
  };
  return { clock, filter, make, run };
}

describe('aborts', () => {
  it('answer with the status and FI', () => {
    expect(setup({ abort: httpAbort(418) }).run().result).toEqual({ status: 418, body: 'fault filter abort', flag: 'FI', details: 'fault_filter_abort' });
  });

  it('by gRPC status keep it, and are 200 for HTTP, as Envoy has it', () => {
    expect(setup({ abort: { errorType: { case: 'grpcStatus', value: 14 }, percentage: always } }).run().result).toMatchObject({ status: 200, grpcStatus: 14 });
  });

  it('happen by percentage', () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const { run } = setup({ abort: httpAbort(500, { numerator: 20 }) }, seededRandom(seed));
    let aborted = 0;
    for (let i = 0; i < 10_000; i++) if (run().result !== undefined) aborted++;
    expect(Math.abs(aborted - 2000), `seed ${seed}`).toBeLessThan(240);
  });

  it('by header, up to the configured percentage', () => {
    const { run } = setup({ abort: { errorType: { case: 'headerAbort', value: {} }, percentage: { numerator: 50 } } }, () => 0.4);
    expect(run().result).toBeUndefined();
    expect(run({ 'x-envoy-fault-abort-request': '503' }).result).toMatchObject({ status: 503 });
    expect(run({ 'x-envoy-fault-abort-grpc-request': '7' }).result).toMatchObject({ status: 200, grpcStatus: 7 });
    expect(run({ 'x-envoy-fault-abort-request': '503', 'x-envoy-fault-abort-request-percentage': '40' }).result).toBeUndefined();
    expect(run({ 'x-envoy-fault-abort-request': '700' }).result).toBeUndefined();
  });
});

describe('delays', () => {
  it('hold the request, flag it, then let it go', async () => {
    const { clock, run } = setup({ delay: delayOf(2) });
    const { result, info } = run();
    expect(result).toBeInstanceOf(Promise);
    expect(info.flags).toEqual(['DI']);
    clock.advance(1999);
    expect(clock.pending).toBe(1);
    clock.advance(1);
    expect(await result).toBeUndefined();
  });

  it('come before an abort, whose chance is drawn by itself', async () => {
    const draws = [0, 0.5, 0.9, 0.1];
    const { clock, run } = setup({ delay: delayOf(1, { numerator: 10 }), abort: httpAbort(500, { numerator: 60 }) }, () => draws.shift() ?? 0.99);
    const first = run();
    clock.advance(1000);
    expect(await first.result).toMatchObject({ status: 500 });
    expect(run().result).toMatchObject({ status: 500 });
    expect(run().result).toBeUndefined();
  });

  it('by header, in milliseconds', () => {
    const { clock, run } = setup({ delay: { faultDelaySecifier: { case: 'headerDelay', value: {} }, percentage: always } });
    expect(run().result).toBeUndefined();
    expect(run({ 'x-envoy-fault-delay-request': '0' }).result).toBeUndefined();
    expect(run({ 'x-envoy-fault-delay-request': '300' }).result).toBeInstanceOf(Promise);
    clock.advance(299);
    expect(clock.pending).toBe(1);
    clock.advance(1);
    expect(clock.pending).toBe(0);
  });

  it('end with a request that ends early', async () => {
    const { clock, run } = setup({ delay: delayOf(2), abort: httpAbort(500) });
    const { result, complete } = run();
    complete();
    expect(clock.pending).toBe(0);
    expect(await result).toBeUndefined();
  });
});

describe('who gets a fault', () => {
  const aborted = (init: Init, headers = {}, info = streamInfo()) => setup({ abort: httpAbort(500), ...init } as Init).run(headers, info).result !== undefined;

  it('headers, upstream cluster and downstream node must fit', () => {
    const headers: Init['headers'] = [{ name: 'x', headerMatchSpecifier: { case: 'presentMatch', value: true } }];
    expect([aborted({ headers }), aborted({ headers }, { x: '1' })]).toEqual([false, true]);
    expect([aborted({ upstreamCluster: 'c' }), aborted({ upstreamCluster: 'c' }, {}, streamInfo({ clusterName: 'c' }))]).toEqual([false, true]);
    expect([aborted({ downstreamNodes: ['n'] }), aborted({ downstreamNodes: ['n'] }, { 'x-envoy-downstream-service-node': 'n' })]).toEqual([false, true]);
  });

  it('at most max_active_faults requests at a time', () => {
    const { run } = setup({ abort: httpAbort(500), maxActiveFaults: 1 });
    const first = run();
    expect((first.result as LocalReply).status).toBe(500);
    expect(run().result).toBeUndefined();
    first.complete();
    first.complete();
    expect(run().result).toBeDefined();
    expect(setup({ abort: httpAbort(500), maxActiveFaults: 0 }).run().result).toBeUndefined();
  });

  it('nothing runs where neither can happen, and an override replaces the whole', () => {
    expect(setup({}).make).toBeUndefined();
    expect(setup({ abort: httpAbort(500, { numerator: 0 }) }).make).toBeUndefined();
    const { filter } = setup({});
    expect(filter.forRoute(parse({}), parse({ abort: httpAbort(500) }), filterRoute())).toBeDefined();
    expect(filter.forRoute(parse({ abort: httpAbort(500) }), parse({}), filterRoute())).toBeUndefined();
  });
});

describe('reading the configuration', () => {
  it.each<[string, Init, RegExp]>([
    ['a status that is none', { abort: httpAbort(100) }, /abort\.http_status: must be 200 to 599/],
    ['an abort without its kind', { abort: { percentage: always } }, /abort: one of/],
    ['a delay without its kind', { delay: { percentage: always } }, /delay: one of/],
    ['a delay of nothing', { delay: delayOf(0) }, /delay\.fixed_delay/],
    ['a gRPC status that is none', { abort: { errorType: { case: 'grpcStatus', value: 17 } } }, /abort\.grpc_status/],
    ['a rate limit without its kind', { responseRateLimit: {} }, /response_rate_limit: one of/],
    ['a rate limit of nothing', { responseRateLimit: { limitType: { case: 'fixedLimit', value: {} } } }, /response_rate_limit\.fixed_limit\.limit_kbps/],
  ])('%s is refused', (_name, init, reason) => {
    expect(() => parse(init)).toThrow(reason);
  });

  it('the router refuses what it would not do', () => {
    expect(() => router.parse('', toBinary(RouterSchema, create(RouterSchema, { upstreamHttpFilters: [{ name: 'x' }] })))).toThrow(/upstream_http_filters/);
    expect(() => router.parse('', toBinary(RouterSchema, create(RouterSchema, { strictCheckHeaders: ['x-own'] })))).toThrow(/strict_check_headers.*"x-own"/);
    expect(router.parse('', toBinary(RouterSchema, create(RouterSchema, { suppressEnvoyHeaders: true })))).toEqual({ suppressEnvoyHeaders: true, respectExpectedTimeout: false, strictCheckHeaders: [] });
    expect(() => router.parse('', toBinary(RouterSchema, create(RouterSchema, { dynamicStats: true })))).not.toThrow();
  });
});
