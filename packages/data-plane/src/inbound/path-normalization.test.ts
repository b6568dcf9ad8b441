import { describe, expect, it } from 'vitest';
import { normalizePath, type PathNormalizationOptions } from './path-normalization.js';

const none: PathNormalizationOptions = { normalizePath: false, mergeSlashes: false, escapedSlashes: 'keep' };
const base: PathNormalizationOptions = { ...none, normalizePath: true };
const merge: PathNormalizationOptions = { ...base, mergeSlashes: true };
const decode: PathNormalizationOptions = { ...merge, escapedSlashes: 'unescape-and-forward' };

describe('the levels of Istio', () => {
  it.each([
    ['/app/../admin', '/app/../admin', '/admin', '/admin', '/admin'],
    ['/app//', '/app//', '/app//', '/app/', '/app/'],
    ['/app/%2f', '/app/%2f', '/app/%2f', '/app/%2f', '/app/'],
    ['/app%2f/', '/app%2f/', '/app%2f/', '/app%2f/', '/app/'],
    ['/xyz%30..//abc', '/xyz%30..//abc', '/xyz0..//abc', '/xyz0../abc', '/xyz0../abc'],
    ['/app/%2E./admin', '/app/%2E./admin', '/admin', '/admin', '/admin'],
    ['/app\\admin', '/app\\admin', '/app/admin', '/app/admin', '/app/admin'],
    ['/app//../admin', '/app//../admin', '/app/admin', '/app/admin', '/app/admin'],
    ['/app//../../admin', '/app//../../admin', '/admin', '/admin', '/admin'],
    ['/%2Fapp%5cadmin%5Cabc', '/%2Fapp%5cadmin%5Cabc', '/%2Fapp%5cadmin%5Cabc', '/%2Fapp%5cadmin%5Cabc', '/app/admin/abc'],
    ['/./admin', '/./admin', '/admin', '/admin', '/admin'],
    ['//admin', '//admin', '//admin', '/admin', '/admin'],
    ['//?a=//', '//?a=//', '//?a=//', '/?a=//', '/?a=//'],
    ['/a/..', '/a/..', '/', '/', '/'],
    ['/a/.', '/a/.', '/a/', '/a/', '/a/'],
    ['/../..', '/../..', '/', '/', '/'],
    ['/a?b=/../c&d=//', '/a?b=/../c&d=//', '/a?b=/../c&d=//', '/a?b=/../c&d=//', '/a?b=/../c&d=//'],
    ['/..?x', '/..?x', '/?x', '/?x', '/?x'],
    ['/%7euser', '/%7euser', '/~user', '/~user', '/~user'],
  ])('%s', (path, ...expected) => expect([none, base, merge, decode].map((options) => normalizePath(path, options))).toEqual(expected));

  it.each(['/a0x2e0x2e/b', '/%252e%252e/b', '/%252f', '/.../b', '/..;/admin', '/;/admin', '/admin;a=b', '/Admin', '/a/b?c=%zz', '/a?%00', '/.well-known/x', '/a.b/.c', '/'])('%s stays as it is even at the strongest', (path) => expect(normalizePath(path, decode)).toBe(path));
});

describe('what has no single meaning', () => {
  it.each(['/a#b', '/#', '/a?b#c', '/%00', '/a%00b', '/%zz', '/%', '/%2', '/%ff', '/%c0%ae', '/\u00e9', '/a b', '/a\tb', '/a\u0000', '/a\u007f', '', 'admin', '*', '/%%32e'])('%j is refused at every level', (path) => {
    for (const options of [none, base, merge, decode]) expect(normalizePath(path, options)).toMatchObject({ status: 400 });
  });

  it('escaped slashes are refused or redirected where the configuration says so', () => {
    expect(normalizePath('/a%2Fb', { ...base, escapedSlashes: 'reject' })).toMatchObject({ status: 400, details: 'path_with_escaped_slashes' });
    expect(normalizePath('/%2F%2fevil.example/?q', { ...base, escapedSlashes: 'unescape-and-redirect' })).toMatchObject({ status: 307, headers: [['location', '/evil.example/?q']] });
  });

  it('normalising twice changes nothing more, for random paths', () => {
    const seed = (Math.random() * 2 ** 31) | 0;
    let state = seed;
    const next = (n: number) => ((state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) >>> 8) % n;
    const parts = ['/', '/', '.', '..', 'a', 'B', '%2e', '%2E', '%2f', '%5C', '\\', ';x', '%41', '%20', '?', '~'];
    for (let i = 0; i < 20_000; i++) {
      const path = `/${Array.from({ length: next(9) }, () => parts[next(parts.length)]).join('')}`;
      const once = normalizePath(path, merge);
      if (typeof once === 'string') expect(normalizePath(once, merge), `seed ${seed}: ${path}`).toBe(once);
    }
  });
});
