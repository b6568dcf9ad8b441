import { describe, expect, it, vi } from 'vitest';
import { HeaderMap } from '../stream/header-map.js';
import { BodyPipe } from './body-pipe.js';
import type { BodyFilter } from './http-filter.js';

const bytes = (text: string) => Buffer.from(text);

function setup(...filters: BodyFilter[]) {
  const owner = { failed: vi.fn(), ended: vi.fn() };
  const pipe = new BodyPipe(owner);
  const source = { pause: vi.fn(), resume: vi.fn() };
  pipe.source = source;
  filters.forEach((filter, index) => pipe.append(String(index), filter));
  const out: string[] = [];
  let trailers: HeaderMap | undefined;
  const open = () => pipe.open({ data: (chunk) => void out.push(Buffer.from(chunk).toString()), end: (got) => ((trailers = got), void out.push('.')) });
  return { pipe, owner, source, out, open, trailers: () => trailers };
}

describe('a body on its way through filters', () => {
  it('keeps its order while a filter waits, and holds the sender', async () => {
    const gates = [Promise.withResolvers<Uint8Array>(), Promise.withResolvers<Uint8Array>()];
    let next = 0;
    const { pipe, source, out, open } = setup({ data: () => gates[next++]!.promise }, { data: (chunk) => bytes(`<${Buffer.from(chunk).toString()}>`) });
    open();
    expect(pipe.write(bytes('a'))).toBe(false);
    pipe.write(bytes('b'));
    pipe.end();
    expect([source.pause.mock.calls.length, out]).toEqual([1, []]);
    gates[0]!.resolve(bytes('A'));
    await vi.waitFor(() => expect(out).toEqual(['<A>']));
    gates[1]!.resolve(bytes('B'));
    await vi.waitFor(() => expect(out).toEqual(['<A>', '<B>', '.']));
  });

  it('may become more or less, and gets what filters add at its end', () => {
    const { pipe, out, open, trailers } = setup({ data: (chunk, push) => { push(chunk); push(chunk); }, end: (edited) => (edited.set('x', '1'), bytes('!')) }, { data: (chunk) => (chunk.length > 1 ? undefined : chunk) });
    open();
    pipe.write(bytes('a'));
    pipe.write(bytes('long'));
    pipe.end(HeaderMap.from({ y: '2' }));
    expect(out).toEqual(['a', 'a', '!', '.']);
    expect([...trailers()!]).toEqual([['y', '2'], ['x', '1']]);
  });

  it('waits for filters that come later, up to a limit', () => {
    const { pipe, source, out, open } = setup({ data: (chunk) => bytes(Buffer.from(chunk).toString().toUpperCase()) });
    expect(pipe.write(bytes('a'))).toBe(true);
    pipe.append('later', { data: (chunk) => bytes(`${Buffer.from(chunk).toString()}-`) });
    expect(pipe.write(Buffer.alloc(70_000, 'b'))).toBe(false);
    open();
    expect([out[0], out[1]?.length, source.resume.mock.calls.length]).toEqual(['A-', 70_001, 1]);
  });

  it('can be collected as earlier filters leave it, and goes on all the same', async () => {
    const { pipe, out, open } = setup({ data: (chunk) => bytes(`${Buffer.from(chunk).toString()},`) });
    const whole = pipe.collect(10);
    pipe.write(bytes('a'));
    pipe.write(bytes('b'));
    pipe.end();
    expect(Buffer.from((await whole)!).toString()).toBe('a,b,');
    open();
    expect(out).toEqual(['a,b,', '.']);
  });

  it('is not collected where it is too long, or the request ends', async () => {
    const long = setup();
    const tooLong = long.pipe.collect(3);
    long.pipe.write(bytes('abcd'));
    expect(await tooLong).toBeUndefined();
    const ended = setup();
    const never = ended.pipe.collect(3);
    ended.pipe.close();
    expect(await never).toBeUndefined();
  });

  it('ends with a filter that throws or rejects', async () => {
    for (const data of [() => { throw new Error('x'); }, () => Promise.reject(new Error('x'))]) {
      const { pipe, owner, out, open } = setup({ data });
      open();
      pipe.write(bytes('a'));
      pipe.end();
      await vi.waitFor(() => expect(owner.failed).toHaveBeenCalledWith('0', new Error('x')));
      expect([out, owner.ended.mock.calls.length]).toEqual([[], 0]);
    }
  });

  it('lets its sender go when the request is over', () => {
    const { pipe, source } = setup();
    expect(pipe.write(Buffer.alloc(100_000))).toBe(false);
    pipe.close();
    expect(source.resume).toHaveBeenCalledOnce();
    expect(pipe.write(Buffer.alloc(100_000))).toBe(true);
  });

  it('stops where the receiver is full, and goes on when it says so', () => {
    const { pipe, source } = setup({});
    pipe.open({ data: () => false, end: () => undefined });
    expect(pipe.write(bytes('a'))).toBe(false);
    pipe.resume();
    expect([source.pause.mock.calls.length, source.resume.mock.calls.length]).toEqual([1, 1]);
  });
});
