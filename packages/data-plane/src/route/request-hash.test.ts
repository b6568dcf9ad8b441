import { describe, expect, it } from 'vitest';
import type { HashPolicyConfig } from '../resource/route-config.js';
import { compileRequestHash } from './request-hash.js';
import { requestHead, seededRandom, streamInfo } from './test-support.js';
import { loadXxh64, plainXxh64, xxh64 } from './xxh64.js';

const hash = (policies: readonly HashPolicyConfig[], head = requestHead(), info = streamInfo()) => compileRequestHash(policies)?.(head, info).hash;
const byHeader = (name: string, terminal = false): HashPolicyConfig => ({ kind: 'header', name, terminal });

describe('XXH64', () => {
  it('gives the published values', () => {
    const text = (value: string) => new TextEncoder().encode(value);
    expect(plainXxh64(text(''))).toBe(0xef46db3751d8e999n);
    expect(plainXxh64(text('a'))).toBe(0xd24ec4f1a98c6e5bn);
    expect(plainXxh64(text('Nobody inspects the spammish repetition'))).toBe(0xfbcea83c8a378bf1n);
  });

  it('is the same before and after the fast implementation has loaded', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = seededRandom(seed);
    const values = Array.from({ length: 200 }, (_, i) => Array.from({ length: i }, () => String.fromCharCode(Math.floor(random() * 0x500))).join(''));
    await loadXxh64();
    for (const value of values) {
      expect(xxh64(value), `seed ${seed}`).toBe(plainXxh64(new TextEncoder().encode(value)));
      expect(xxh64(value, 1n), `seed ${seed}`).toBe(plainXxh64(new TextEncoder().encode(value), 1n));
    }
  });
});

describe('request hashes', () => {
  it('are undefined without a value, and without policies not computed', () => {
    expect(hash([byHeader('x')])).toBeUndefined();
    expect(compileRequestHash([])).toBeUndefined();
  });

  it('of one value are its XXH64', () => {
    expect(hash([byHeader('X')], requestHead('/', { x: 'v' }))).toBe(xxh64('v'));
    expect(hash([{ kind: 'query-parameter', name: 'q', terminal: false }], requestHead('/?q=v&q=w'))).toBe(xxh64('v'));
    expect(hash([{ kind: 'source-ip', terminal: false }], requestHead(), streamInfo({ downstreamRemoteAddress: '[::1]:99' }))).toBe(xxh64('::1'));
    expect(hash([{ kind: 'source-ip', terminal: false }], requestHead(), streamInfo())).toBe(hash([{ kind: 'filter-state', key: 'io.grpc.channel_id', terminal: false }], requestHead()));
    expect(hash([{ kind: 'header', name: 'x', terminal: false, rewrite: { pattern: '^(.).*', substitution: '\\1' } }], requestHead('/', { x: 'vw' }))).toBe(xxh64('v'));
  });

  it('combine by rotation and exclusive or, and stop at a terminal policy that has a value', () => {
    const head = requestHead('/', { a: '1', b: '2' });
    const [a, b] = [xxh64('1'), xxh64('2')];
    expect(hash([byHeader('a'), byHeader('b')], head)).toBe((BigInt.asUintN(64, a << 1n) | (a >> 63n)) ^ b);
    expect(hash([byHeader('a', true), byHeader('b')], head)).toBe(a);
    expect(hash([byHeader('none', true), byHeader('b')], head)).toBe(b);
  });

  it('take several values of a header in their own order, and bytes as they are', () => {
    const policy: HashPolicyConfig = { kind: 'header', name: 'x', terminal: false };
    const of = (...values: string[]) => compileRequestHash([policy])?.(requestHead('/', { x: values }), streamInfo()).hash;
    expect(of('b', 'a')).toBe(xxh64('b', xxh64('a')));
    expect(of('\u00c3\u00a9')).toBe(xxh64('\u00e9'));
  });

  it('make up a cookie with a ttl where the request has none', () => {
    const policy: HashPolicyConfig = { kind: 'cookie', name: 'id', path: '/p', ttlMs: 90_000, terminal: false };
    const compiled = compileRequestHash([policy]);
    const made = compiled?.(requestHead(), streamInfo());
    expect(made?.setCookies).toEqual([expect.stringMatching(/^id="[0-9a-f]{32}"; Max-Age=90; Path=\/p; HttpOnly$/)]);
    const value = /"(.*?)"/.exec(made?.setCookies[0] ?? '')?.[1] ?? '';
    expect(compiled?.(requestHead('/', { cookie: `other=1; id="${value}"` }), streamInfo())).toEqual({ hash: made?.hash, setCookies: [] });
    expect(hash([{ kind: 'cookie', name: 'id', path: '', terminal: false }])).toBeUndefined();
    // An empty one counts as none (Envoy).
    expect(compiled?.(requestHead('/', { cookie: 'id=' }), streamInfo()).setCookies).toHaveLength(1);
  });

  it('give a made-up cookie its attributes, before HttpOnly', () => {
    const attributes = [{ name: 'SameSite', value: 'Lax' }, { name: 'Secure', value: '' }];
    const made = compileRequestHash([{ kind: 'cookie', name: 'id', path: '', ttlMs: 0, attributes, terminal: false }])?.(requestHead(), streamInfo());
    expect(made?.setCookies[0]).toMatch(/^id="[0-9a-f]{32}"; SameSite=Lax; Secure; HttpOnly$/);
  });

  it('know only the channel of filter state', () => {
    const channel: HashPolicyConfig = { kind: 'filter-state', key: 'io.grpc.channel_id', terminal: false };
    expect(hash([channel])).toBe(hash([channel]));
    expect(() => compileRequestHash([{ kind: 'filter-state', key: 'x', terminal: false }])).toThrow(/filter_state/);
  });
});
