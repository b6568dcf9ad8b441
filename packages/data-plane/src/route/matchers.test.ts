import { describe, expect, it } from 'vitest';
import type { HeaderMatcherConfig, QueryParameterMatcherConfig, StringMatcherConfig } from '../resource/matcher-config.js';
import type { RouteMatchConfig } from '../resource/route-config.js';
import { compileHeaderMatcher, compileResponseHeaderMatcher } from './header-matcher.js';
import { compilePathMatcher } from './path-matcher.js';
import { compileQueryMatcher } from './query-matcher.js';
import { compileRouteMatch } from './route-match.js';
import { compileStringMatcher } from './string-matcher.js';
import { match, prefix, requestHead, seededRandom, streamInfo } from './test-support.js';
import { HeaderMap } from '../stream/header-map.js';

const exact = (value: string, ignoreCase = false): StringMatcherConfig => ({ kind: 'exact', value, ignoreCase });

describe('string matchers', () => {
  it.each<[StringMatcherConfig, string, boolean]>([
    [exact('a'), 'a', true], [exact('a'), 'A', false], [exact('Ab', true), 'aB', true],
    [{ kind: 'prefix', value: 'ab', ignoreCase: false }, 'abc', true], [{ kind: 'prefix', value: 'AB', ignoreCase: true }, 'abc', true], [{ kind: 'prefix', value: 'b', ignoreCase: false }, 'abc', false],
    [{ kind: 'suffix', value: 'bc', ignoreCase: false }, 'abc', true], [{ kind: 'suffix', value: 'b', ignoreCase: false }, 'abc', false],
    [{ kind: 'contains', value: 'b', ignoreCase: false }, 'abc', true], [{ kind: 'contains', value: 'B', ignoreCase: true }, 'abc', true], [{ kind: 'contains', value: 'd', ignoreCase: false }, 'abc', false],
    [{ kind: 'regex', value: 'a.c' }, 'abc', true], [{ kind: 'regex', value: 'a.c' }, 'abcd', false],
  ])('%j on %s: %s', (config, value, expected) => {
    expect(compileStringMatcher(config)(value)).toBe(expected);
  });
});

describe('path matchers', () => {
  const kind = (name: 'exact' | 'path-separated-prefix', value: string, caseSensitive = true): RouteMatchConfig['path'] => ({ kind: name, value, caseSensitive });
  it.each<[RouteMatchConfig['path'], string, boolean]>([
    [prefix(''), '', true], [prefix('/'), '/a', true], [prefix('/'), '*', false], [prefix('/foo'), '/foobar', true], [prefix('/foo'), '/Foo', false], [prefix('/foo', false), '/FOObar', true],
    [kind('exact', '/foo'), '/foo', true], [kind('exact', '/foo'), '/foo/', false], [kind('exact', '/foo', false), '/FOO', true],
    [kind('path-separated-prefix', '/foo'), '/foo', true], [kind('path-separated-prefix', '/foo'), '/foo/bar', true], [kind('path-separated-prefix', '/foo'), '/foobar', false], [kind('path-separated-prefix', '/foo', false), '/FOO/x', true],
    [{ kind: 'regex', value: '/b[io]t' }, '/bit', true], [{ kind: 'regex', value: '/b[io]t' }, '/bite', false], [{ kind: 'regex', value: '/b[io]t' }, '/a/bit', false],
    [{ kind: 'uri-template', value: '/a/*/c' }, '/a/b/c', true], [{ kind: 'uri-template', value: '/a/*/c' }, '/a/b/b/c', false], [{ kind: 'uri-template', value: '/a/**' }, '/a/b/c/d', true], [{ kind: 'uri-template', value: '/a/*' }, '/a/*', true],
    [{ kind: 'uri-template', value: '/a/{x}/c' }, '/a/b/c', true], [{ kind: 'uri-template', value: '/{x=v1/*}/c' }, '/v1/b/c', true], [{ kind: 'uri-template', value: '/{x=v1/*}/c' }, '/v2/b/c', false],
    [{ kind: 'uri-template', value: '/a/{x}.json' }, '/a/b.json', true], [{ kind: 'uri-template', value: '/a/{x}.json' }, '/a/b.xml', false],
  ])('%j on %s: %s', (config, path, expected) => {
    expect(compilePathMatcher(config)(path)).toBe(expected);
  });

  it.each(['/a/', 'a', '/a?b', '/a#b'])('reject the path-separated prefix %s', (value) => {
    expect(() => compilePathMatcher(kind('path-separated-prefix', value))).toThrow(/path-separated prefix/);
  });

  it.each(['a/b', '/**/a', '/{a}/{a}', '/a*', '/{1a}', '/{a'])('reject the URI template %s', (value) => {
    expect(() => compilePathMatcher({ kind: 'uri-template', value })).toThrow();
  });

  it('answer a hostile path against a URI template in linear time', () => {
    expect(compilePathMatcher({ kind: 'uri-template', value: '/a/**' })(`/a/${'b'.repeat(5000)}\n`)).toBe(false);
  });
});

describe('header matchers', () => {
  const header = (name: string, of: HeaderMatcherConfig['match'], more: Partial<HeaderMatcherConfig> = {}): HeaderMatcherConfig => ({ name, match: of, invert: false, treatMissingAsEmpty: false, ...more });
  const text = (value: string) => ({ kind: 'string' as const, matcher: exact(value) });
  const present = (value: boolean) => ({ kind: 'present' as const, present: value });
  const range = { kind: 'range' as const, start: -10n, end: 10n };
  const invert = { invert: true };
  const asEmpty = { treatMissingAsEmpty: true };
  it.each<[string, HeaderMatcherConfig, string | undefined, boolean]>([
    ['equal', header('x', text('a')), 'a', true],
    ['name in upper case', header('X', text('a')), 'a', true],
    ['different', header('x', text('a')), 'b', false],
    ['missing', header('x', text('a')), undefined, false],
    ['inverted, different', header('x', text('a'), invert), 'b', true],
    ['inverted, equal', header('x', text('a'), invert), 'a', false],
    ['inverted, missing: no match', header('x', text('a'), invert), undefined, false],
    ['inverted, missing as empty', header('x', text('a'), { ...invert, ...asEmpty }), undefined, true],
    ['missing as empty, empty expected', header('x', text(''), asEmpty), undefined, true],
    ['present', header('x', present(true)), '', true],
    ['present, missing', header('x', present(true)), undefined, false],
    ['absent, missing', header('x', present(false)), undefined, true],
    ['absent, there', header('x', present(false)), 'a', false],
    ['inverted present, missing', header('x', present(true), invert), undefined, true],
    ['range, start included', header('x', range), '-10', true],
    ['range, end excluded', header('x', range), '10', false],
    ['range, sign', header('x', range), '+9', true],
    ['range, not a number', header('x', range), '9x', false],
    ['range, a fraction', header('x', range), '1.5', false],
    ['range, empty', header('x', range), '', false],
    ['range beyond 2^53', header('x', { kind: 'range', start: 9007199254740993n, end: 9007199254740994n }), '9007199254740993', true],
  ])('%s', (_name, config, value, expected) => {
    expect(compileHeaderMatcher(config)(requestHead('/', value === undefined ? {} : { x: value }))).toBe(expected);
  });

  it('compare each of several values, those of gRPC joined by a comma', () => {
    const matches = (value: string, more: Parameters<typeof requestHead>[2] = {}) => compileHeaderMatcher(header('x', text(value)))(requestHead('/', { x: ['a', 'b'] }, more));
    expect([matches('a'), matches('b'), matches('a,b'), matches('b', { protocol: 'grpc' }), matches('a,b', { protocol: 'grpc' })]).toEqual([true, true, false, false, true]);
    const not = compileHeaderMatcher({ ...header('x', text('b')), invert: true });
    expect([not(requestHead('/', { x: ['a', 'b'] })), not(requestHead('/', { x: ['a', 'c'] }))]).toEqual([false, true]);
    expect(compileResponseHeaderMatcher(header('x', text('b')))(new HeaderMap(['x', 'a', 'x', 'b']), 200)).toBe(true);
  });

  it('read pseudo-headers, the path with its query, and host as the authority', () => {
    const head = requestHead('/a?b', {}, { method: 'PUT', authority: 'shop:80' });
    expect(compileHeaderMatcher(header(':method', text('PUT')))(head)).toBe(true);
    expect(compileHeaderMatcher(header(':path', text('/a?b')))(head)).toBe(true);
    expect(compileHeaderMatcher(header(':authority', text('shop:80')))(head)).toBe(true);
    expect(compileHeaderMatcher(header('Host', text('shop:80')))(head)).toBe(true);
    expect(compileHeaderMatcher(header(':scheme', text('http')))(head)).toBe(true);
  });

  it('of gRPC requests never see -bin metadata and always a content type', () => {
    const head = requestHead('/s/m', { 'x-bin': 'a' }, { protocol: 'grpc' });
    expect(compileHeaderMatcher(header('x-bin', present(true)))(head)).toBe(false);
    expect(compileHeaderMatcher(header('content-type', text('application/grpc')))(head)).toBe(true);
  });

  it('work on responses, with the status', () => {
    expect(compileResponseHeaderMatcher(header(':status', text('503')))(new HeaderMap(), 503)).toBe(true);
    expect(compileResponseHeaderMatcher(header('x', text('a')))(new HeaderMap(['x', 'a']), 200)).toBe(true);
  });
});

describe('query parameter matchers', () => {
  it.each<[QueryParameterMatcherConfig, string, boolean]>([
    [{ name: 'a' }, '/?a', true], [{ name: 'a&b' }, '/?a&b=1', false], [{ name: 'a' }, '/?b&a=1', true], [{ name: 'a' }, '/?ab=1', false], [{ name: 'a' }, '/a', false], [{ name: 'b' }, '/?a=b', false],
    [{ name: 'a', matcher: exact('1') }, '/?a=1', true], [{ name: 'a', matcher: exact('1') }, '/?a=2&a=1', false], [{ name: 'a', matcher: exact('1') }, '/?a=1&a=2', true],
    [{ name: 'a', matcher: exact('') }, '/?a', true], [{ name: 'a', matcher: exact('') }, '/?a=', true], [{ name: 'a', matcher: exact(' ') }, '/?a=%20', false], [{ name: 'a', matcher: exact('%20') }, '/?a=%20', true],
    [{ name: 'a', matcher: exact('1') }, '/?a=1#x', true], [{ name: 'a', matcher: exact('1=2') }, '/?a=1=2', true],
  ])('%j on %s: %s', (config, path, expected) => {
    expect(compileQueryMatcher(config)(path)).toBe(expected);
  });
});

describe('route matches', () => {
  const matches = (config: Partial<RouteMatchConfig>, head = requestHead(), info = streamInfo(), random = () => 0) => compileRouteMatch(match(prefix('/'), config), random).matches('/', head, info);

  it('need all conditions', () => {
    const both = { headers: [{ name: 'x', match: { kind: 'present' as const, present: true }, invert: false, treatMissingAsEmpty: false }], queryParameters: [{ name: 'q' }] };
    expect(matches(both, requestHead('/?q', { x: '1' }))).toBe(true);
    expect(matches(both, requestHead('/', { x: '1' }))).toBe(false);
    expect(matches(both, requestHead('/?q'))).toBe(false);
  });

  it.each([['application/grpc', true], ['application/grpc+proto', true], ['application/grpc; charset=x', false], ['application/grpc-web', false], ['application/json', false]])('grpc: content type %s is %s', (type, expected) => {
    expect(matches({ grpc: true }, requestHead('/', { 'content-type': type }))).toBe(expected);
  });

  it('look at whether the caller showed a certificate', () => {
    expect(matches({ tlsPresented: true })).toBe(false);
    expect(matches({ tlsPresented: true }, requestHead(), streamInfo({ mutualTls: true }))).toBe(true);
    expect(matches({ tlsPresented: false })).toBe(true);
  });

  it('take a runtime fraction of requests', () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const test = compileRouteMatch(match(prefix('/'), { runtimeFraction: { numerator: 30, denominator: 100 } }), seededRandom(seed));
    let hits = 0;
    for (let i = 0; i < 20_000; i++) if (test.matches('/', requestHead(), streamInfo())) hits++;
    expect(hits / 20_000, `seed ${seed}`).toBeGreaterThan(0.28);
    expect(hits / 20_000, `seed ${seed}`).toBeLessThan(0.32);
    expect(matches({ runtimeFraction: { numerator: 0, denominator: 100 } })).toBe(false);
    expect(matches({ runtimeFraction: { numerator: 100, denominator: 100 } }, requestHead(), streamInfo(), () => 0.999_999)).toBe(true);
  });
});
