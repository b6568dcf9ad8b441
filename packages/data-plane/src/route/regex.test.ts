import { RE2JS } from 're2js';
import { describe, expect, it } from 'vitest';
import { compileRegex, compileRegexRewrite } from './regex.js';
import { seededRandom } from './test-support.js';

const patterns = [
  '', 'abc', '/a/b', 'a.*', 'a.+', '.*a', '.+a', '.*a.*', '.+a.+', '.+a.*', '.*', '.+', 'a|b', 'a|b.*', '.*a|b', '(a|b)', '(?:a|b)', '^a$', '^a', 'a$', '^(a|b)$', '^a|b$', 'a\\.b', 'a\\.b.*', '\\/a', 'a\\|b',
  '(a)', '(a.*)', '[ab]', 'a?', 'a{2}', '(?i)a', 'a\\d', '\\.*', 'a\\', '(a|b)c', '(a)(b)', 'a||b', '|', 'a\\$', '^', '$', 'a.*b', '.*a.+|c',
  // With a literal start, and what only looks like one.
  'ab?', 'ab*c', 'ab{0}c', 'a\\.?b', 'a\\.b?c', '^/a[bc]', 'a[b.]+', 'ab(?i)c', 'a(b|c)', 'a\\x62', 'a\\.+b', '/a/?b*', 'a\\Qb.\\E', 'a\\bb', 'a$b', 'a^b',
];
const letters = ['a', 'b', 'c', '.', '/', '|', '$', '\\', 'A', '1', '\n'];

describe('compiled regular expressions', () => {
  it('answer as RE2 does under full match, with and without a shortcut', () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = seededRandom(seed);
    const values = ['', 'a', 'b', 'c', 'aa', 'ab', 'abc', 'a.b', 'a.bc', '/a', '/a/b', 'a|b', 'a$', 'xay', 'xa', 'ax', 'A', 'a\nb', '\na', '.', '...'];
    for (let i = 0; i < 300; i++) values.push(Array.from({ length: Math.floor(random() * 5) }, () => letters[Math.floor(random() * letters.length)]).join(''));
    for (const pattern of patterns) {
      let reference: RE2JS;
      try {
        reference = RE2JS.compile(pattern);
      } catch {
        expect(() => compileRegex(pattern), pattern).toThrow(/not a RE2 pattern/);
        continue;
      }
      const test = compileRegex(pattern);
      for (const value of values) expect(test(value), `seed ${seed}: ${pattern} on ${JSON.stringify(value)}`).toBe(reference.matches(value));
    }
  });

  it('stay linear on an input that makes backtracking explode', () => {
    expect(compileRegex('(x+x+)+y')('x'.repeat(2000))).toBe(false);
  });

  it('reject what RE2 rejects, such as backreferences and lookahead', () => {
    expect(() => compileRegex('(a)\\1')).toThrow(/RE2/);
    expect(() => compileRegex('a(?=b)')).toThrow(/RE2/);
  });
});

describe('regex rewrites', () => {
  it.each([
    ['^/service/([^/]+)(/.*)$', '\\2/instance/\\1', '/service/foo/v1/api', '/v1/api/instance/foo'],
    ['one', 'two', '/xxx/one/yyy/one/zzz', '/xxx/two/yyy/two/zzz'],
    ['^(.*?)one(.*)$', '\\1two\\2', '/xxx/one/yyy/one/zzz', '/xxx/two/yyy/one/zzz'],
    ['(?i)/xxx/', '/yyy/', '/aaa/XxX/bbb', '/aaa/yyy/bbb'],
    ['a', '\\0\\0', 'banana', 'baanaanaa'],
    ['a', '\\\\$1', 'a', '\\$1'],
    ['x', 'y', 'abc', 'abc'],
    ['(a)|(b)', '[\\1\\2]', 'ab', '[a][b]'],
    ['a', '', 'a', ''],
  ])('%s → %s: %s becomes %s', (pattern, substitution, input, output) => {
    expect(compileRegexRewrite({ pattern, substitution })(input)).toBe(output);
  });

  it('reject a group that does not exist and a stray backslash', () => {
    expect(() => compileRegexRewrite({ pattern: '(a)', substitution: '\\2' })).toThrow(/names group 2, the pattern has 1/);
    expect(() => compileRegexRewrite({ pattern: 'a', substitution: '\\n' })).toThrow(/backslash/);
  });
});
