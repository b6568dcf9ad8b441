import { expect, it } from 'vitest';
import { strippedAuthority } from './authority.js';

it('takes away any port, or that of the listener', () => {
  const strip = (authority: string, stripPort: 'any' | 'matching') => strippedAuthority(authority, { stripPort }, 80);
  expect([strip('a.test:81', 'any'), strip('a.test:81', 'matching'), strip('a.test:80', 'matching'), strip('a.test', 'any'), strip('[::1]:80', 'matching'), strip('[::1]', 'any')]).toEqual(['a.test', 'a.test:81', 'a.test', 'a.test', '[::1]', '[::1]']);
});

it('takes away the dot of an absolute name, before a port too', () => {
  const strip = (authority: string) => strippedAuthority(authority, { stripDot: true }, undefined);
  expect([strip('a.test.'), strip('a.test.:80'), strip('a.test'), strip('')]).toEqual(['a.test', 'a.test:80', 'a.test', '']);
});

it('leaves what is no authority as it is', () => {
  expect(strippedAuthority('a:b:c', { stripPort: 'any', stripDot: true }, 80)).toBe('a:b:c');
});
