import { expect, it, test } from 'vitest';
import type { InternalRedirectConfig } from '../resource/route-config.js';
import { HeaderMap } from '../stream/header-map.js';
import { testStream, type TestStreamOptions } from './test-stream.js';

const policy: InternalRedirectConfig = { maxRedirects: 1, statuses: [302, 303, 307], crossScheme: 'no', notPreviousRoutes: false, copyHeaders: [] };

function redirecting(over: Partial<InternalRedirectConfig> = {}, options: TestStreamOptions = {}) {
  const made = testStream({ ...options, action: { internalRedirect: { ...policy, ...over }, ...options.action } });
  made.stream.requestEnd(3);
  return made;
}
const redirect = ({ downstream }: ReturnType<typeof testStream>, location: string, status = 302, more = {}) => downstream.answer(status, { location, ...more });
/** Whatever was left to microtasks has run. */
const settled = () => Promise.resolve();

test('a redirect is followed as a request of its own, which alone the caller hears of', async () => {
  const made = redirecting({ copyHeaders: ['x-copy', 'x-gone'] }, { headers: { 'x-gone': 'a', 'x-own': 'b' }, action: { prefixRewrite: '/v1/' } });
  expect(redirect(made, 'http://other.test:81/next?q=1#fragment', 302, { 'x-copy': 'c' })).toBe('discard');
  await settled();
  const { downstream, ended, cluster } = made;
  const { head } = downstream.last;
  expect([head.authority, head.path, head.method]).toEqual(['other.test:81', '/v1/next?q=1', 'POST']);
  expect(['x-copy', 'x-gone', 'x-own', 'x-envoy-original-url', 'x-envoy-original-path'].map((name) => head.headers.get(name))).toEqual(['c', undefined, 'b', 'http://payments/v1/pay', '/next?q=1']);
  expect(ended.map(({ status, responseCodeDetails }) => [status, responseCodeDetails])).toEqual([[302, 'internal_redirect']]);
  expect(downstream.answer(200)).toBe('forward');
  downstream.last.onEnd({ bytesSent: 0, bytesReceived: 0 });
  expect([ended.length, ended[1]!.responseCodeDetails, cluster.running, downstream.withoutBody]).toEqual([2, 'via_upstream', 0, [false, false]]);
});

it.each<[string, Partial<InternalRedirectConfig>, string, number]>([
  ['relative', {}, '/next', 302], ['without a host', {}, 'http:///next', 302], ['of another status', {}, 'http://a/', 301], ['to another scheme', {}, 'https://a/', 302], ['to https, where only downgrades are safe', { crossScheme: 'safe' }, 'https://a/', 302],
  ['to a route that is not on the list', { allowedRoutes: ['other'] }, 'http://a/', 302], ['beyond the number allowed', { maxRedirects: 0 }, 'http://a/', 302],
])('a redirect %s is the caller\'s', async (_what, over, location, status) => {
  const made = redirecting(over);
  expect(redirect(made, location, status)).toBe('forward');
  await settled();
  expect([made.downstream.attempts.length, made.ended.length]).toEqual([1, 0]);
});

it.each<[string, Partial<InternalRedirectConfig>, string]>([['to any scheme where it is allowed', { crossScheme: 'yes' }, 'https://a/'], ['to a route on the list', { allowedRoutes: ['default'] }, 'http://a/'], ['without a path', {}, 'http://a']])('a redirect %s is followed', async (_what, over, location) => {
  const made = redirecting(over);
  expect(redirect(made, location)).toBe('discard');
  await settled();
  expect(made.downstream.last.head).toMatchObject({ authority: 'a', path: '/' });
});

test('redirects are counted, and a route is not taken twice where that is asked', async () => {
  const twice = redirecting({ maxRedirects: 2 });
  const previous = redirecting({ maxRedirects: 2, notPreviousRoutes: true });
  const verdicts: string[][] = [];
  for (const made of [twice, previous]) {
    const seen: string[] = [];
    for (let i = 0; i < 3; i++) {
      seen.push(redirect(made, `http://a/${i}`));
      await settled();
    }
    verdicts.push(seen);
  }
  expect(verdicts).toEqual([['discard', 'discard', 'forward'], ['discard', 'forward', 'discard']]);
});

test('303 makes a GET without a body of everything but HEAD', async () => {
  const made = redirecting({}, { headers: { 'content-length': '3' } });
  redirect(made, 'http://a/get', 303);
  await settled();
  expect([made.downstream.last.head.method, made.downstream.last.head.headers.has('content-length'), made.downstream.withoutBody]).toEqual(['GET', false, [false, true]]);
});

test('a body that is still coming or cannot be sent again leaves it to the caller', () => {
  const unsent = testStream({ action: { internalRedirect: policy } });
  expect(redirect(unsent, 'http://a/')).toBe('forward');
  const once = redirecting();
  once.downstream.replayable = false;
  expect(redirect(once, 'http://a/')).toBe('forward');
});

test('the caller may leave at any time', async () => {
  const before = redirecting();
  redirect(before, 'http://a/');
  before.stream.cancel();
  await settled();
  expect([before.downstream.attempts.length, before.cluster.running]).toEqual([1, 0]);
  const after = redirecting();
  redirect(after, 'http://a/');
  await settled();
  after.stream.cancel();
  expect([after.downstream.aborted.length, after.cluster.running, after.ended.at(-1)!.flags]).toEqual([1, 0, ['DC']]);
});

test('retries come first', () => {
  const made = redirecting({}, { retryPolicy: { retryOn: ['retriable-status-codes'], retriableStatusCodes: [302] } });
  expect(made.downstream.last.onHead({ status: 302, headers: HeaderMap.from({ location: 'http://a/' }) })).toBe('discard');
  expect(made.ended).toEqual([]);
});
