import { expect, it } from 'vitest';
import { jsonText } from './json-text.js';

// What Envoy 1.40 writes for %DYNAMIC_METADATA()%.
it.each([
  [0, '0'], [12, '12'], [-5, '-5'], [100_000, '1e+05'], [120_000, '120000'], [1_234_567, '1234567'], [2 ** 63, '9223372036854775808'], [123456789012345680, '123456789012345680'], [1e20, '1e+20'],
  [5.5, '5.5'], [0.1, '0.1'], [0.001, '0.001'], [0.0001, '1e-04'], [-5e-7, '-5e-07'],
])('%d is written as %s', (value, text) => {
  expect([jsonText(value), jsonText({ a: [value] })]).toEqual([text, `{"a":[${text}]}`]);
});

it('everything else is JSON', () => {
  expect(jsonText({ a: 'x"y', b: [true, null] })).toBe('{"a":"x\\"y","b":[true,null]}');
});
