import { expect, it } from 'vitest';
import type { LocalReply } from '../stream/local-reply.js';
import { InboundLimits, type InboundLimitsConfig } from './inbound-limits.js';
import type { InboundProgress } from './inbound-port.js';

function start(config: InboundLimitsConfig) {
  let now = 0;
  const timers: { at: number; run: () => void; cancelled: boolean }[] = [];
  const setTimeout = (run: () => void, ms: number) => {
    const timer = { at: now + ms, run, cancelled: false };
    timers.push(timer);
    return { cancel: () => void (timer.cancelled = true) };
  };
  const progress: { -readonly [Key in keyof InboundProgress]: InboundProgress[Key] } = { requestComplete: false, bytes: 0 };
  const replies: LocalReply[] = [];
  const limits = InboundLimits.start(config, { progress, expire: (reply) => void replies.push(reply) }, setTimeout);
  const until = (ms: number) => {
    for (;;) {
      const due = timers.filter(({ at, cancelled }) => !cancelled && at <= ms).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      now = due.at;
      due.cancelled = true;
      due.run();
    }
    now = ms;
    return replies.map(({ status, details, flag }) => `${status} ${details}${flag ? ` ${flag}` : ''}`);
  };
  return { limits, progress, until, timers };
}

it('nothing is limited where nothing is configured', () => {
  expect(start({}).limits).toBeUndefined();
  expect(start({ maxStreamDurationMs: 0 }).timers).toEqual([]);
});

it('a stream that lasts too long is the caller\'s fault until the request is complete, and the handler\'s from then on', () => {
  expect(start({ maxStreamDurationMs: 100 }).until(100)).toEqual(['408 max_duration_timeout']);
  const { progress, until } = start({ maxStreamDurationMs: 100 });
  progress.requestComplete = true;
  expect([until(99), until(100)]).toEqual([[], ['504 max_duration_timeout']]);
});

it('a request has to be there in time, unless its answer began', () => {
  expect(start({ requestTimeoutMs: 100 }).until(100)).toEqual(['408 request_overall_timeout']);
  const complete = start({ requestTimeoutMs: 100 });
  complete.progress.requestComplete = true;
  expect(complete.until(200)).toEqual([]);
  const answered = start({ requestTimeoutMs: 100 });
  answered.limits?.answered();
  expect(answered.until(200)).toEqual([]);
});

it('every byte puts the idle timeout off', () => {
  const { progress, until } = start({ streamIdleTimeoutMs: 100 });
  expect(until(90)).toEqual([]);
  progress.bytes = 1;
  expect(until(190)).toEqual([]);
  progress.requestComplete = true;
  expect(until(200)).toEqual(['504 stream_idle_timeout SI']);
});

it('nothing expires after the end', () => {
  const { limits, until } = start({ maxStreamDurationMs: 100, requestTimeoutMs: 100, streamIdleTimeoutMs: 100 });
  limits?.close();
  expect(until(1000)).toEqual([]);
});
