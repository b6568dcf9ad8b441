import { expect, it } from 'vitest';
import type { Descriptor } from './descriptors.js';
import { LocalLimiter, type LocalLimiterConfig } from './local-limiter.js';

const bucket = (maxTokens: number, tokensPerFill = 1) => ({ maxTokens, tokensPerFill, fillIntervalMs: 1000 });
const of = (entries: Readonly<Record<string, string>>): Descriptor => ({ entries: Object.entries(entries).map(([key, value]) => ({ key, value })) });
const limiter = (config: Partial<LocalLimiterConfig>) => new LocalLimiter({ descriptors: [], alwaysConsumeDefault: true, maxDynamicDescriptors: 20, ...config }, () => 0);
const taken = (limits: LocalLimiter, ...descriptors: Descriptor[]) => limits.take(descriptors).allowed;

it('without any bucket everything is allowed', () => {
  expect(limiter({}).take([of({ a: 'b' })])).toEqual({ allowed: true, bucket: undefined });
});

it('of several descriptors the strictest is asked first: one that refuses takes nothing from the others', () => {
  const limits = limiter({ bucket: bucket(9, 9), descriptors: [{ ...of({ loose: '1' }), bucket: bucket(2, 5) }, { ...of({ strict: '1' }), bucket: bucket(1, 1) }] });
  expect(taken(limits, of({ loose: '1' }), of({ strict: '1' }))).toBe(true);
  expect(taken(limits, of({ loose: '1' }), of({ strict: '1' }))).toBe(false);
  expect(taken(limits, of({ loose: '1' }))).toBe(true);
  expect(taken(limits, of({ loose: '1' }))).toBe(false);
});

it('descriptors match as a whole, in order', () => {
  const limits = limiter({ bucket: bucket(100), descriptors: [{ ...of({ a: '1', b: '2' }), bucket: bucket(1) }] });
  for (const other of [of({ a: '1' }), of({ b: '2', a: '1' }), of({ a: '1', b: '2', c: '3' })]) for (let i = 0; i < 3; i++) expect(taken(limits, other)).toBe(true);
  expect([taken(limits, of({ a: '1', b: '2' })), taken(limits, of({ a: '1', b: '2' }))]).toEqual([true, false]);
});

it('a wildcard has so many buckets at most; the one not used for longest is forgotten', () => {
  const limits = limiter({ maxDynamicDescriptors: 2, descriptors: [{ ...of({ user: '' }), bucket: bucket(1) }] });
  const user = (name: string) => taken(limits, of({ user: name }));
  expect([user('a'), user('b'), user('a'), user('c')]).toEqual([true, true, false, true]);
  expect([user('a'), user('b')]).toEqual([false, true]);
});

it('an exact descriptor goes before a wildcard', () => {
  const limits = limiter({ descriptors: [{ ...of({ user: '' }), bucket: bucket(1) }, { ...of({ user: 'a' }), bucket: bucket(2) }] });
  expect([taken(limits, of({ user: 'a' })), taken(limits, of({ user: 'a' })), taken(limits, of({ user: 'a' }))]).toEqual([true, true, false]);
});

it('tells of the bucket that refused, else of the descriptor\'s, else of the default one', () => {
  const limits = limiter({ bucket: bucket(2), descriptors: [{ ...of({ a: '1' }), bucket: bucket(7) }] });
  expect(limits.take([]).bucket?.maxTokens).toBe(2);
  expect(limits.take([of({ a: '1' })]).bucket?.maxTokens).toBe(7);
  expect(limits.take([of({ a: '1' })])).toMatchObject({ allowed: false, bucket: { maxTokens: 2 } });
});
