import { expect, test } from 'vitest';
import { runInContext } from '../context/request-context.js';
import type { LocalReply } from '../stream/local-reply.js';
import { HeaderMap } from '../stream/header-map.js';
import { TestCluster, testStream } from './test-stream.js';
import { FilterChain } from '../filter/filter-chain.js';
import { testFilter } from '../filter/test-filters.js';

/** Whatever was left to microtasks has run. */
const settled = () => new Promise((resolve) => setImmediate(resolve));
const end = { bytesSent: 1, bytesReceived: 2 };

test('a response is forwarded and accounted once, at its end', () => {
  const { stream, cluster, downstream, ended } = testStream();
  stream.requestEnd(1);
  expect(downstream.answer(200)).toBe('forward');
  expect([cluster.running, ended.length]).toEqual([1, 0]);
  downstream.last.onEnd(end);
  downstream.last.onEnd(end);
  downstream.last.onFailure({ kind: 'reset', message: 'late' });
  expect([cluster.running, cluster.outcomes.length]).toEqual([0, 1]);
  expect(ended).toMatchObject([{ status: 200, attempts: 1, bytesSent: 1, bytesReceived: 2, upstreamAddress: '10.0.0.1:80', flags: [] }]);
});

test('what reports after the request is over changes nothing', () => {
  const { stream, cluster, downstream, ended } = testStream({ retryPolicy: { retryOn: ['5xx'] } });
  stream.cancel();
  expect(downstream.answer(200)).toBe('discard');
  downstream.last.onFailure({ kind: 'reset', message: 'aborted' });
  expect([downstream.aborted, downstream.replies, cluster.running, ended.length]).toEqual([[1], [], 0, 1]);
  expect(cluster.outcomes[0]).not.toHaveProperty('failure');
  expect(ended[0]!.flags).toEqual(['DC']);
});

test('retries wait for their back-off and go on to another host', () => {
  const { downstream, clock, cluster } = testStream({ retryPolicy: { retryOn: ['5xx'] }, includeAttemptCount: true });
  expect(downstream.answer(503)).toBe('discard');
  clock.advance(23);
  expect(downstream.attempts.length).toBe(1);
  clock.advance(1);
  expect(downstream.last.host.key).toBe('10.0.0.2:80');
  expect(downstream.last.head.headers.get('x-envoy-attempt-count')).toBe('2');
  downstream.answer(503);
  clock.advance(48);
  expect(downstream.attempts.length).toBe(2);
  clock.advance(1);
  expect([downstream.answer(503), cluster.retries]).toEqual(['forward', 0]);
});

test('a retry needs a replayable body and a place among the cluster\'s retries', () => {
  const once = testStream({ retryPolicy: { retryOn: ['5xx'] } });
  once.downstream.replayable = false;
  expect(once.downstream.answer(503)).toBe('forward');
  const full = testStream({ retryPolicy: { retryOn: ['5xx'] } });
  full.cluster.maxRetries = 0;
  expect(full.downstream.answer(503)).toBe('forward');
  full.downstream.last.onEnd(end);
  expect(full.ended[0]!.flags).toEqual(['UO']);
});

test('the place among retries is given back however the request ends', () => {
  for (const finish of ['forward', 'cancel', 'fail'] as const) {
    const { stream, downstream, cluster, clock } = testStream({ retryPolicy: { retryOn: ['connect-failure'] } });
    downstream.last.onFailure({ kind: 'connect-failure', message: 'refused' });
    expect(cluster.retries).toBe(1);
    clock.advance(1000);
    if (finish === 'forward') downstream.answer(200);
    else if (finish === 'cancel') stream.cancel();
    else downstream.last.onFailure({ kind: 'reset', message: 'gone' });
    expect(cluster.retries).toBe(0);
  }
});

test('cancelling during the back-off makes no further attempt', () => {
  const { stream, downstream, clock } = testStream({ retryPolicy: { retryOn: ['5xx'] } });
  downstream.answer(503);
  stream.cancel();
  clock.advance(10_000);
  expect([downstream.attempts.length, clock.pending]).toEqual([1, 0]);
});

test('the route timeout runs from the end of the request, over all attempts', () => {
  const { stream, downstream, clock, ended, cluster } = testStream({ action: { timeoutMs: 100 }, retryPolicy: { retryOn: ['5xx'] } });
  clock.advance(1000);
  expect(downstream.replies).toEqual([]);
  stream.requestEnd(0);
  clock.advance(50);
  downstream.answer(503);
  clock.advance(49);
  expect(downstream.replies).toEqual([]);
  clock.advance(1);
  expect(downstream.replies).toMatchObject([{ status: 504, body: 'upstream request timeout' }]);
  expect(ended[0]!.flags).toEqual(['UT']);
  expect([downstream.aborted, cluster.running, clock.pending]).toEqual([[2], 0, 0]);
  expect(cluster.outcomes[1]).toMatchObject({ failure: 'per-try-timeout' });
});

test('a timeout after the head breaks the response off', () => {
  const { stream, downstream, clock } = testStream({ action: { timeoutMs: 100 } });
  stream.requestEnd(0);
  downstream.answer(200);
  clock.advance(100);
  expect(downstream.broken).toMatchObject([{ code: 'WEFT_UPSTREAM_TIMEOUT' }]);
  expect(downstream.replies).toEqual([]);
});

test('a per-try timeout gives the next attempt its turn and ends with the head', () => {
  const { stream, downstream, clock } = testStream({ retryPolicy: { retryOn: ['5xx'], perTryTimeoutMs: 100 } });
  stream.requestEnd(0);
  clock.advance(100);
  expect(downstream.aborted).toEqual([1]);
  clock.advance(25);
  expect(downstream.attempts.length).toBe(2);
  downstream.answer(200);
  clock.advance(1000);
  expect([downstream.broken, downstream.aborted]).toEqual([[], [1]]);
});

test('the caller\'s deadline ends the request with DEADLINE_EXCEEDED, and one that passed makes no attempt', () => {
  const { downstream, clock } = testStream({ protocol: 'grpc', stream: { deadline: performance.now() + 500 } });
  expect(downstream.last.deadline).toBeLessThan(performance.now() + 501);
  clock.advance(500);
  expect(downstream.replies).toMatchObject([{ grpcStatus: 4 }]);
  const late = testStream({ protocol: 'grpc', stream: { deadline: performance.now() - 1 } });
  expect([late.downstream.attempts.length, late.downstream.replies[0]!.grpcStatus]).toEqual([0, 4]);
});

test('the listener\'s maximum stream duration ends the request, with a status for who was to send next', () => {
  for (const [done, status] of [[true, 504], [false, 408]] as const) {
    const { stream, clock, downstream, ended } = testStream({ maxStreamDurationMs: 1000 });
    if (done) stream.requestEnd(0);
    clock.advance(1000);
    expect([downstream.replies[0]!.status, downstream.replies[0]!.body, ended[0]!.flags, ended[0]!.responseCodeDetails]).toEqual([status, 'downstream duration timeout', [], 'max_duration_timeout']);
  }
});

test('filters know the cluster that the route chose', () => {
  const seen: string[] = [];
  testStream({ filters: { decode: (_head, info) => void seen.push(info.clusterName), encode: () => undefined, complete: () => undefined } });
  expect(seen).toEqual(['payments']);
});

test('a filter may wait, refuse or break, and sees its end', async () => {
  const result = Promise.withResolvers<LocalReply | undefined>();
  const completed: string[] = [];
  const filters = (decode: () => LocalReply | Promise<LocalReply | undefined>) => ({ decode, encode: () => void completed.push('encode'), complete: () => void completed.push('complete') });
  const waiting = testStream({ filters: filters(() => result.promise) });
  expect(waiting.downstream.attempts.length).toBe(0);
  result.resolve(undefined);
  await result.promise;
  expect(waiting.downstream.attempts.length).toBe(1);
  const refused = testStream({ filters: filters(() => ({ status: 403, body: 'no', details: 'denied' })) });
  expect([refused.downstream.replies[0]!.status, completed]).toEqual([403, ['encode', 'complete']]);
  const broken = testStream({ filters: filters(async () => Promise.reject(new Error('bug'))) });
  await new Promise((resolve) => setImmediate(resolve));
  expect([broken.downstream.attempts.length, broken.downstream.replies[0]!.status]).toEqual([0, 500]);
});

test('no host is the cluster\'s own reply', () => {
  const { downstream, ended, cluster, clock } = testStream({ retryPolicy: { retryOn: ['5xx'] } });
  cluster.refuse = { status: 503, body: 'no healthy upstream', flag: 'UH', details: 'no_healthy_upstream' };
  downstream.answer(503);
  clock.advance(100);
  expect([downstream.replies[0]!.body, ended[0]!.flags]).toEqual(['no healthy upstream', ['UH']]);
});

test('what the router answers itself has the edits of the route, as a response would', () => {
  const mutations = { request: { add: [], remove: [] }, response: { add: [{ name: 'x-by', value: '%RESPONSE_CODE_DETAILS%', action: 'append-if-exists-or-add' as const, keepEmpty: false }], remove: [] } };
  const by = ({ downstream }: ReturnType<typeof testStream>) => downstream.replies[0]!.headers?.find(([name]) => name === 'x-by')?.[1];
  const failed = testStream({ mutations });
  failed.downstream.last.onFailure({ kind: 'reset', message: 'gone' });
  const late = testStream({ mutations, action: { timeoutMs: 10 } });
  late.stream.requestEnd(0);
  late.clock.advance(10);
  const nowhere = testStream({ mutations, action: { cluster: { kind: 'cluster', name: 'nowhere' } } });
  expect([failed, late, nowhere].map(by)).toEqual(['upstream_reset_before_response_started{connection_termination}', 'response_timeout', 'cluster_not_found']);
});

test('filters run where no route matches, before the answer says so', () => {
  const refused = { status: 403, body: '', details: 'policy' };
  const filters = (reply: LocalReply | undefined) => ({ decode: () => reply, encode: () => undefined, complete: () => undefined });
  const virtualHost = { domains: ['elsewhere'] };
  expect(testStream({ virtualHost, filters: filters(refused) }).downstream.replies).toMatchObject([{ status: 403 }]);
  expect(testStream({ virtualHost, filters: filters(undefined) }).downstream.replies).toMatchObject([{ status: 404, details: 'route_not_found' }]);
});

test('whether a request may be retried is read from it as it is sent', () => {
  const mutations = { request: { add: [{ name: 'x-again', value: 'yes', action: 'append-if-exists-or-add' as const, keepEmpty: false }], remove: [] }, response: { add: [], remove: [] } };
  const retriableRequestHeaders = [{ name: 'x-again', match: { kind: 'present' as const, present: true }, invert: false, treatMissingAsEmpty: false }];
  expect(testStream({ mutations, retryPolicy: { retryOn: ['5xx'], retriableRequestHeaders } }).downstream.answer(503)).toBe('discard');
});

test('the hash is that of the request as it is sent', () => {
  const hashPolicies = [{ kind: 'cookie', name: 'id', path: '', ttlMs: 1000, terminal: false }] as const;
  const { downstream } = testStream({ action: { hashPolicies }, headers: { cookie: 'id=1' }, mutations: { request: { add: [], remove: ['cookie'] }, response: { add: [], remove: [] } } });
  const headers = HeaderMap.from({});
  downstream.last.onHead({ status: 200, headers });
  expect(headers.all('set-cookie')).toHaveLength(1);
});

test('the edits of a route see status 0 in what is not the upstream\'s answer', () => {
  const mutations = { request: { add: [], remove: [] }, response: { add: [{ name: 'x-code', value: '%RESPONSE_CODE%', action: 'append-if-exists-or-add' as const, keepEmpty: false }], remove: [] } };
  const { downstream } = testStream({ mutations });
  downstream.last.onFailure({ kind: 'reset', message: 'gone' });
  expect(downstream.replies[0]).toMatchObject({ status: 503, headers: [['x-code', '0']] });
});

test('gRPC over plain HTTP is answered as gRPC', () => {
  const { downstream, cluster, clock } = testStream({ headers: { 'content-type': 'application/grpc+proto' }, retryPolicy: { retryOn: ['5xx'] } });
  cluster.refuse = { status: 503, body: '100 % full', flag: 'UO', details: 'overflow' };
  downstream.answer(503);
  clock.advance(100);
  expect(downstream.replies[0]).toMatchObject({ status: 200, body: '', headers: [['content-type', 'application/grpc'], ['grpc-status', '14'], ['grpc-message', '100 %25 full']] });
});

test('requests end with the inbound request for which they are made, and inherit its deadline', () => {
  const controller = new AbortController();
  const { downstream, ended, clock } = runInContext({ signal: controller.signal, deadline: performance.now() + 10_000 }, () => testStream());
  expect(downstream.last.deadline).toBeLessThan(performance.now() + 10_001);
  controller.abort(new Error('caller gone'));
  expect([downstream.aborted, downstream.replies[0]!.error?.message, ended[0]!.flags, clock.pending]).toEqual([[1], 'caller gone', ['DC'], 0]);
  expect(runInContext({ signal: controller.signal }, () => testStream()).downstream.attempts.length).toBe(0);
});

test('a request is hashed, and gets a cookie for it, only where the cluster looks at hashes', () => {
  const hashPolicies = [{ kind: 'cookie', name: 'id', path: '', ttlMs: 1000, terminal: false }] as const;
  const cookies = (usesHash: boolean) => {
    const { downstream } = testStream({ action: { hashPolicies }, usesHash });
    const headers = HeaderMap.from({});
    downstream.last.onHead({ status: 200, headers });
    return headers.all('set-cookie').length;
  };
  expect([cookies(true), cookies(false)]).toEqual([1, 0]);
});

test('a cluster that only a header names is looked for when it is first named, and waited for', async () => {
  const late = new TestCluster(1);
  let found: (cluster: TestCluster | undefined) => void = () => undefined;
  const dynamic = { get: () => new Promise<TestCluster | undefined>((resolve) => (found = resolve)), error: () => new Error('nobody knows it') };
  const byHeader = () => testStream({ action: { cluster: { kind: 'header', header: 'x-cluster' } }, headers: { 'x-cluster': 'late' }, dynamic });
  const waits = byHeader();
  expect(waits.downstream.attempts).toEqual([]);
  found(late);
  await settled();
  expect([waits.downstream.attempts.length, late.running]).toEqual([1, 1]);
  const never = byHeader();
  found(undefined);
  await settled();
  expect(never.downstream.replies).toMatchObject([{ status: 503, flag: 'NC', body: expect.stringContaining('nobody knows it') as string }]);
  const gone = byHeader();
  gone.stream.cancel();
  found(late);
  await settled();
  expect(gone.downstream.attempts).toEqual([]);
});

test('no retry starts while the answer to a timeout is still in the filters of the response', async () => {
  let give = () => {};
  const filter = testFilter('later', { encodeBody: () => ({ data: (chunk) => new Promise((resolve) => (give = () => resolve(chunk))) }) });
  const chain = new FilterChain([filter], { random: () => 0, now: () => 0, setTimeout: () => ({ cancel: () => undefined }) });
  const { stream, downstream, clock, cluster } = testStream({ chain, action: { timeoutMs: 100 }, retryPolicy: { retryOn: ['5xx'], backoff: { baseMs: 1000, maxMs: 1000 } } });
  stream.requestEnd(0);
  downstream.answer(503);
  clock.advance(100);
  clock.advance(5000);
  expect([downstream.attempts.length, downstream.replies.length]).toEqual([1, 0]);
  give();
  await new Promise((resolve) => setImmediate(resolve));
  expect([downstream.replies.map(({ status }) => status), cluster.running, cluster.retries, clock.pending]).toEqual([[504], 0, 0, 0]);
});
