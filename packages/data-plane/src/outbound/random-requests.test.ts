// Random lives of requests over a model of an adapter: retries, hedges, timeouts, redirects, mirrors, filters with bodies, callers who go away.
// Whatever happens, a request has one end, and nothing of it is left.
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { runInContext } from '../context/request-context.js';
import type { BodyPipe } from '../filter/body-pipe.js';
import { FilterChain } from '../filter/filter-chain.js';
import type { BodyFilter, FilterStream, StreamFilter } from '../filter/http-filter.js';
import { testFilter } from '../filter/test-filters.js';
import { seededRandom } from '../route/test-support.js';
import { HeaderMap } from '../stream/header-map.js';
import type { UpstreamFailure } from '../stream/response-head.js';
import type { MirrorAttempt, UpstreamAttempt } from './downstream.js';
import { testStream, type TestStreamOptions } from './test-stream.js';

const seed = Number(process.env['WEFT_TEST_SEED'] ?? Date.now() % 2 ** 31);
const requests = 3000;

test(`every request ends once and leaves nothing behind (seed ${seed})`, async () => {
  for (let i = 0; i < requests; i++) {
    const log: string[] = [];
    try {
      await oneRequest(seededRandom(seed + i), log);
    } catch (error) {
      throw new Error(`WEFT_TEST_SEED=${seed + i}, first request: ${(error as Error).message}\n${log.join('\n')}`, { cause: error });
    }
  }
}, 60_000);

/** What the adapter knows of one attempt. */
interface Sent {
  readonly attempt: UpstreamAttempt;
  state: 'waiting' | 'forwarding' | 'over';
}

async function oneRequest(random: () => number, log: string[]): Promise<void> {
  const chance = (p: number) => random() < p;
  const one = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const protocol = chance(0.3) ? 'grpc' : 'http';
  /** What was left open: promises of filters and of look-ups. */
  const waiting: (() => void)[] = [];
  const later = <T>(value: T, failed?: Error) => new Promise<T>((resolve, reject) => waiting.push(() => (failed ? reject(failed) : resolve(value))));
  const counts = { started: 0, completed: 0 };
  const streams = new Set<FilterStream>();
  const refusal = () => ({ status: one([403, 429, 500]), body: one(['', 'no']), details: 'model' });
  const passing = (): BodyFilter => one<BodyFilter>([
    {}, { data: (chunk) => chunk }, { data: (chunk) => later(chunk) }, { data: () => later(undefined, new Error('late')) }, { data: () => { throw new Error('early'); } }, { end: () => later(Buffer.from('!')) }, { data: (chunk, push) => void push(chunk) },
  ]);
  const filter = (): StreamFilter => {
    const decode = one(['none', 'none', 'none', 'wait', 'wait', 'refuse', 'refuse later', 'break', 'break later', 'buffer', 'end']);
    const [request, response] = [chance(0.3), chance(0.3)];
    let own: FilterStream | undefined;
    return {
      decodeHeaders(_head, _info, stream) {
        streams.add((own = stream));
        switch (decode) {
          case 'wait': return later(undefined);
          case 'refuse': return refusal();
          case 'refuse later': return later(refusal());
          case 'break': throw new Error('broken');
          case 'break later': return later(undefined, new Error('broken'));
          case 'buffer': return stream.bufferBody(6).then((body) => (body ? undefined : refusal()));
          case 'end': stream.endWith(refusal()); return undefined;
          default: return undefined;
        }
      },
      ...(request && { decodeBody: passing }),
      ...(response && { encodeBody: passing }),
      onComplete() {
        counts.completed++;
        if (own) streams.delete(own);
      },
    };
  };
  const filters = Array.from({ length: one([0, 0, 1, 2, 3]) }, (_, i) => testFilter(`f${i}`, () => (counts.started++, filter())));
  const options: TestStreamOptions = {
    protocol, random, hosts: one([1, 3]), whole: chance(0.7), includeAttemptCount: chance(0.3),
    ...(filters.length > 0 && { chain: new FilterChain(filters, { random, now: () => 0, setTimeout: () => ({ cancel: () => undefined }) }) }),
    ...(chance(0.7) && { retryPolicy: { retryOn: ['5xx', 'reset', 'connect-failure', 'unavailable', 'cancelled'], numRetries: one([0, 1, 2, 5]), ...(chance(0.5) && { perTryTimeoutMs: 100 }), ...(chance(0.2) && { perTryIdleTimeoutMs: 50 }) } }),
    action: {
      timeoutMs: one([0, 0, 500]),
      ...(chance(0.5) && { hedgePolicy: { onPerTryTimeout: true } as never }),
      ...(chance(0.4) && { internalRedirect: { maxRedirects: 2, statuses: [302, 303], crossScheme: 'no', notPreviousRoutes: false, copyHeaders: [] } }),
      ...(chance(0.3) && { mirrors: [{ cluster: 'mirror' }] }),
      ...(chance(0.1) && { cluster: { kind: 'header', header: 'x-cluster' } as never }),
    },
    headers: { 'x-cluster': 'elsewhere' },
    ...(chance(0.2) && { maxStreamDurationMs: 1000 }),
    ...(chance(0.2) && { streamIdleTimeoutMs: 300 }),
    ...(chance(0.3) && { retries: { budget: { ratio: 0.5, minPerSecond: 1, ttlMs: 10_000 } } }),
  };
  log.push(JSON.stringify({ ...options, chain: filters.length }));
  const aborting = new AbortController();
  // The model has to be in place before the request runs.
  const start = () => testStream({ ...options, dynamic: { get: () => later(chance(0.7)).then((known) => (known ? made!.cluster : undefined)), error: () => undefined, close: () => undefined } as never, model });

  let made: ReturnType<typeof testStream> | undefined;
  const sent: Sent[] = [];
  const mirrors: MirrorAttempt[] = [];
  const told: string[] = [];
  let over = false;
  let body: BodyPipe | undefined;
  let bodyOpen = false;
  let bodyLeft = one([0, 1, 3]);
  let bodyDone = false;
  let response: BodyPipe | undefined;
  const finished = (what: string) => {
    log.push(`caller: ${what}`);
    if (over) throw new Error(`the caller hears "${what}" after "${told.join()}"`);
    over = true;
    told.push(what);
  };
  const requestEnd = () => { log.push('request end'); made?.stream.requestEnd(3); };
  const model = {
    connect(attempt: UpstreamAttempt) {
      if (over) throw new Error('an attempt after the end');
      const entry: Sent = { attempt, state: 'waiting' };
      log.push(`attempt ${attempt.number}`);
      attempt.abort = () => {
        log.push(`abort ${attempt.number}`);
        entry.state = 'over';
        // As adapters do, in their own words.
        if (chance(0.5)) attempt.onFailure({ kind: 'reset', message: 'aborted' });
      };
      sent.push(entry);
      if (body && !bodyOpen) {
        bodyOpen = true;
        body.open({ data: () => chance(0.8), end: () => requestEnd() });
      }
      if (chance(0.8)) attempt.onReady();
    },
    readBody(pipe: BodyPipe) { body = pipe; pipe.source = { pause: () => undefined, resume: () => undefined }; },
    filterResponse(pipe: BodyPipe) { response = pipe; pipe.source = { pause: () => undefined, resume: () => undefined }; },
    reply() { finished('reply'); },
    breakOff() { finished('broken'); },
    mirror(attempt: MirrorAttempt) { mirrors.push(attempt); attempt.abort = () => undefined; },
  };
  made = chance(0.3) ? runInContext({ retry: chance(0.3), signal: aborting.signal }, start) : start();
  const { stream, clock, cluster, mirror, downstream, ended } = made;
  downstream.replayable = chance(0.8);

  const live = () => sent.filter(({ state }) => state !== 'over');
  const headOf = () => {
    const status = one([200, 200, 204, 302, 303, 503, 500]);
    return { status, headers: HeaderMap.from(status === 302 || status === 303 ? { location: 'http://payments/other' } : {}), ...(protocol === 'grpc' && chance(0.3) && { grpcStatus: one([0, 1, 14]) }) };
  };
  const kinds: UpstreamFailure['kind'][] = ['connect-failure', 'refused-stream', 'reset-before-request', 'reset', 'per-try-timeout', 'protocol-error', 'identity'];
  const act: Record<string, () => void> = {
    head() {
      const entry = one(live().filter(({ state }) => state === 'waiting'));
      if (!entry) return;
      const head = headOf();
      const verdict = entry.attempt.onHead(head);
      log.push(`head ${head.status} of ${entry.attempt.number}: ${verdict}`);
      if (verdict === 'discard') return void (entry.state = 'over');
      if (over) throw new Error(`a head after "${told.join()}"`);
      if (sent.some(({ state }) => state === 'forwarding')) throw new Error('two heads');
      entry.state = 'forwarding';
      response?.open({ data: () => chance(0.8), end: () => finished('end') });
    },
    data() {
      const entry = one(live().filter(({ state }) => state === 'forwarding'));
      if (entry && response) response.write(Buffer.from('data'));
    },
    end() {
      const entry = one(live().filter(({ state }) => state === 'forwarding'));
      if (!entry) return;
      log.push(`end of ${entry.attempt.number}`);
      entry.state = 'over';
      entry.attempt.onEnd({ bytesSent: 3, bytesReceived: 4, ...(protocol === 'grpc' && { grpcStatus: one([0, 14]) }) });
      if (response && !over) response.end(); else if (!over) finished('end');
    },
    failure() {
      const entry = one(live());
      if (!entry) return;
      const kind = one(kinds);
      log.push(`failure ${kind} of ${entry.attempt.number}`);
      entry.state = 'over';
      entry.attempt.onFailure({ kind, message: kind, ...(kind === 'per-try-timeout' && { idle: true }) });
    },
    ready: () => one(live())?.attempt.onReady(),
    information() {
      const entry = one(live().filter(({ state }) => state === 'waiting'));
      log.push(`information of ${entry?.attempt.number}`);
      entry?.attempt.onInformation();
    },
    body() {
      if (bodyDone) return;
      if (body) {
        if (bodyLeft-- > 0) body.write(Buffer.from('abc'));
        else { bodyDone = true; body.end(); }
      } else if (sent.length > 0 && bodyLeft-- <= 0) {
        bodyDone = true;
        requestEnd();
      }
    },
    whole() { const become = downstream.becomeWhole; downstream.becomeWhole = undefined; become?.(); },
    settle() { log.push('settle'); waiting.splice(Math.floor(random() * waiting.length), 1)[0]?.(); },
    time() { const ms = one([1, 30, 100, 300, 1000]); log.push(`${ms} ms`); clock.advance(ms); },
    refuse() {
      if (!chance(0.1)) return;
      const own = one([...streams]);
      log.push('endWith');
      own?.endWith(refusal());
    },
    cancel() {
      if (over || !chance(0.15)) return;
      log.push('cancel');
      over = true;
      told.push('cancel');
      stream.cancel();
    },
    context() { if (chance(0.1)) { log.push('context abort'); aborting.abort(new Error('caller gone')); } },
    drain() { body?.resume(); response?.resume(); },
    mirrored() { const copy = one(mirrors); if (copy) { copy.onHead({ status: 200, headers: new HeaderMap() }); copy.onEnd({ bytesSent: 0, bytesReceived: 0 }); } },
  };
  const names = Object.keys(act);
  for (let step = 0; step < 40; step++) {
    act[one(names)]!();
    if (chance(0.4)) await turn();
  }
  // Everything comes to an end; who still waits then goes away.
  for (let round = 0; round < 30; round++) {
    while (waiting.length > 0) waiting.shift()!();
    act['body']!();
    act['drain']!();
    for (const name of ['head', 'end']) act[name]!();
    await turn();
  }
  clock.advance(60_000);
  for (let round = 0; round < 3; round++) await turn();
  if (!over) {
    log.push('cancel at last');
    told.push('cancel');
    over = true;
    stream.cancel();
  }
  for (const copy of mirrors) copy.onFailure({ kind: 'reset', message: 'gone' });
  while (waiting.length > 0) waiting.shift()!();
  await turn();
  const left = { running: cluster.running, retries: cluster.retries, mirrored: mirror.running, timers: clock.pending, filters: counts.started - counts.completed, open: live().length, listeners: streams.size };
  log.push(JSON.stringify(ended.map(({ status, responseCodeDetails, flags }) => [status, responseCodeDetails, flags])));
  expect(left).toEqual({ running: 0, retries: 0, mirrored: 0, timers: 0, filters: 0, open: 0, listeners: 0 });
  expect([told.length, new Set(ended).size]).toEqual([1, ended.length]);
  const last = ended.filter(({ responseCodeDetails }) => responseCodeDetails !== 'internal_redirect').length;
  expect(told[0] === 'cancel' ? last <= 1 : last === 1).toBe(true);
}
