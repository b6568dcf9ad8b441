import { expect, test } from 'vitest';
import { testStream } from './test-stream.js';

/** A source from which this number is drawn, and no other. */
const halves = (number: number) => {
  const left = [0, number / 2 ** 26];
  return () => left.shift()!;
};
const mirrors = [{ cluster: 'mirror' }];
const unavailable = { status: 503, body: '', details: 'no_healthy_upstream' } as const;

test('a copy of the request as it is sent goes to the mirror, under a host with -shadow', () => {
  const { downstream, head } = testStream({ action: { mirrors, prefixRewrite: '/v2' }, headers: { a: 'b' } });
  expect(downstream.mirrors.map(({ head: { authority, path, headers }, host }) => [authority, path, headers.get('a'), host.cluster.name])).toEqual([['payments-shadow', '/v2pay', 'b', 'payments']]);
  expect(downstream.last.head).toMatchObject({ authority: 'payments', path: '/v2pay' });
  downstream.mirrors[0]!.head.headers.set('a', 'c');
  expect(head.headers.get('a')).toBe('b');
  const { downstream: withPort } = testStream({ action: { mirrors, hostRewrite: { kind: 'literal', value: '[::1]:8080' } } });
  expect(withPort.mirrors[0]!.head.authority).toBe('[::1]-shadow:8080');
  const { downstream: oddPort } = testStream({ action: { mirrors, hostRewrite: { kind: 'literal', value: 'a:b' } } });
  expect(oddPort.mirrors[0]!.head.authority).toBe('a-shadow:b');
});

test('a copy says which attempt it is of, as the request does', () => {
  const { downstream } = testStream({ action: { mirrors, hostRewrite: { kind: 'auto' } }, virtualHost: { includeRequestAttemptCount: true } });
  expect([downstream.last.head, downstream.mirrors[0]!.head].map(({ headers }) => headers.get('x-envoy-attempt-count'))).toEqual(['1', '1']);
});

test('the body has to be whole first', () => {
  const { downstream } = testStream({ action: { mirrors }, whole: false });
  expect(downstream.mirrors).toEqual([]);
  downstream.answer(200);
  downstream.becomeWhole!();
  expect(downstream.mirrors.length).toBe(1);
});

test('each mirror has a fraction of its own, of the request\'s one random number', () => {
  const of = (numerator: number) => ({ cluster: 'mirror', fraction: { numerator, denominator: 100 } });
  const mirrored = (number: number) => testStream({ random: halves(number), action: { mirrors: [of(10), of(50), of(90)] } }).downstream.mirrors.length;
  expect([5, 49, 50, 89, 90, 1005].map(mirrored)).toEqual([3, 2, 1, 1, 0, 3]);
});

test('the mirror\'s outcome is its own cluster\'s, and held until its answer is through', () => {
  const { downstream, cluster, mirror, ended } = testStream({ action: { mirrors } });
  const [copy] = downstream.mirrors;
  expect(mirror.running).toBe(1);
  expect(copy!.onHead({ status: 500, headers: downstream.last.head.headers })).toBe('forward');
  expect(mirror.running).toBe(1);
  copy!.onEnd({ bytesSent: 0, bytesReceived: 0 });
  expect([mirror.running, mirror.outcomes[0]!.status, cluster.outcomes, ended]).toEqual([0, 500, [], []]);
  downstream.answer(200);
  downstream.last.onEnd({ bytesSent: 0, bytesReceived: 0 });
  expect([cluster.outcomes.map(({ status }) => status), ended.length, ended[0]!.clusterName]).toEqual([[200], 1, 'payments']);
});

test('a mirror that hangs ends with the route\'s timeout, one that fails ends at once; neither is retried', () => {
  const hanging = testStream({ action: { mirrors, timeoutMs: 1000 }, retryPolicy: { retryOn: ['5xx'] } });
  let over = 0;
  let aborted = 0;
  Object.assign(hanging.downstream.mirrors[0]!, { onOver: () => over++, abort: () => aborted++ });
  hanging.clock.advance(999);
  expect(over).toBe(0);
  hanging.clock.advance(1);
  expect([over, aborted, hanging.mirror.running, hanging.mirror.outcomes[0]!.failure]).toEqual([1, 1, 0, 'per-try-timeout']);
  const failing = testStream({ action: { mirrors }, retryPolicy: { retryOn: ['5xx'] } });
  failing.downstream.mirrors[0]!.onFailure({ kind: 'connect-failure', message: 'refused' });
  expect([failing.mirror.running, failing.mirror.outcomes[0]!.failure, failing.downstream.mirrors.length, failing.downstream.replies]).toEqual([0, 'connect-failure', 1, []]);
});

test('the caller\'s end does not end the copy; closing does, and blames nobody', () => {
  const { stream, downstream, mirror } = testStream({ action: { mirrors } });
  stream.cancel();
  expect(mirror.running).toBe(1);
  downstream.mirrors[0]!.cancel(new Error('closed'));
  expect(mirror.running).toBe(0);
  expect(mirror.outcomes[0]).not.toHaveProperty('failure');
});

test('a retry is not mirrored again', () => {
  const { downstream, clock } = testStream({ action: { mirrors }, retryPolicy: { retryOn: ['5xx'] } });
  downstream.answer(503);
  clock.advance(1000);
  expect([downstream.attempts.length, downstream.mirrors.length]).toEqual([2, 1]);
});

test('no mirror without a host for the request itself; a mirror that is full or absent is passed over', () => {
  const { downstream, mirror } = testStream({ action: { mirrors: [{ cluster: 'absent' }, { cluster: 'mirror' }] }, whole: false });
  mirror.refuse = unavailable;
  downstream.becomeWhole!();
  expect([downstream.mirrors, downstream.replies]).toEqual([[], []]);
  const without = testStream({ action: { mirrors, cluster: { kind: 'cluster', name: 'nowhere' } } });
  expect([without.downstream.mirrors, without.downstream.replies[0]!.status]).toEqual([[], 503]);
});
