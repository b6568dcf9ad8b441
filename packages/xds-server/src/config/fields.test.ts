import { describe, expect, it } from 'vitest';
import { parseDuration } from './duration.js';
import { joinPath, parsePath } from './field-path.js';
import { Fields } from './fields.js';
import { re2Problem } from './re2-pattern.js';

function read(value: unknown, run: (fields: Fields) => unknown) {
  const problems: string[] = [];
  const add = (severity: string) => (field: string, reason: string) => void problems.push(`${severity} ${field}: ${reason}`);
  const result = run(new Fields(value, 'spec', { error: add('error'), warn: add('warning') }));
  return { result, problems };
}

describe('fields', () => {
  it('nobody asked for are unknown; null is as if it were not there', () => {
    const { problems } = read({ a: 'x', b: null, c: 1, 'd.e': 2 }, (fields) => { fields.string('a'); fields.string('b'); fields.finish(); });
    expect(problems).toEqual(['error spec.c: is not a known field', 'error spec["d.e"]: is not a known field']);
  });

  it('that are inherited from Object are not there', () => {
    expect(read({}, (fields) => [fields.has('constructor'), fields.raw('toString'), fields.raw('__proto__')]).result).toEqual([false, undefined, undefined]);
  });

  it('of the wrong type are reported and read as missing', () => {
    const { result, problems } = read({ s: 1, n: 'x', b: 'yes', l: {}, o: [], i: 1.5, strings: ['a', 2], labels: { a: 1, b: 'c' } }, (fields) => [
      fields.string('s'), fields.number('n'), fields.boolean('b'), fields.strings('l'), fields.object('o')?.keys(), fields.integer('i'), fields.strings('strings'), fields.labels('labels'),
    ]);
    expect(result).toEqual([undefined, undefined, undefined, [], [], undefined, ['a'], { b: 'c' }]);
    expect(problems).toEqual([
      'error spec.s: must be a string, not 1 (a number)', 'error spec.n: must be a number, not "x" (a string)', 'error spec.b: must be true or false, not "yes" (a string)',
      'error spec.l: must be a list, not an object', 'error spec.o: must be an object, not a list', 'error spec.i: must be a whole number, not 1.5',
      'error spec.strings[1]: must be a string, not 2 (a number)', 'error spec.labels.a: must be a string, not 1 (a number)',
    ]);
  });

  it('that are required are reported once', () => {
    expect(read({ b: '', c: 1 }, (fields) => ['a', 'b', 'c'].map((name) => fields.requiredString(name))).problems).toEqual(['error spec.a: is required', 'error spec.b: is required', 'error spec.c: must be a string, not 1 (a number)']);
  });
});

it.each(['a', 'spec.http[0].match[12].uri', 'metadata.labels["a.b/c"].x', 'x["quo\\"te"][0]'])('path %s survives being taken apart', (path) => {
  expect(parsePath(path).reduce<string>((joined, step) => joinPath(joined, step), '')).toBe(path);
});

it.each([['0', 0], ['0s', 0], ['1.5s', 1500], ['1h30m', 5_400_000], ['250ms', 250], ['.5s', 500], ['1µs', 0.001], ['1us', 0.001], ['100ns', 0.0001], ['0.1s0.2s', 300]])('duration %s', (text, expected) => {
  expect(parseDuration(text)).toBe(expected);
});

it.each(['', '1', 's', '-1s', '1 s', '1d', '1s ', '1.2.3s', 'Infinitys'])('no duration: %j', (text) => expect(parseDuration(text)).toBeUndefined());

it.each(['/a/.*', '^(GET|PUT)$', '(?i)abc', '(?P<n>a)', '(?:a|b)+?', '[^]a]*', '[[:alpha:]]+', '\\d{1,3}', '\\Qa(b\\E', 'a{x}', '(?i:a)b', '\\pL', '[\\]]'])('RE2: %s', (pattern) => {
  expect(re2Problem(pattern)).toBeUndefined();
});

it.each([
  ['', 'empty'], ['(?=a)', 'look-around'], ['(?!a)', 'look-around'], ['(?<=a)b', 'look-around'], ['(?<!a)b', 'look-around'], ['(a)\\1', 'back-references'], ['(a', 'unclosed ('], ['a)', 'without its ('], ['[a', 'unclosed ['],
  ['*a', 'nothing to repeat'], ['a**', 'nothing to repeat'], ['(|+a)', 'nothing to repeat'], ['a{1001}', '1000 times'], ['a\\', 'lone backslash'], ['(?>a)', 'look-around'], ['x'.repeat(1025), '1024 characters'],
])('not RE2: %s', (pattern, reason) => expect(re2Problem(pattern)).toContain(reason));
