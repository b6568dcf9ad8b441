import { describe, expect, it } from 'vitest';
import { duration, hostPort, namespacedName, port, positiveInteger } from './arguments.js';

describe('option values', () => {
  it('reads durations in Go style and as seconds', () => {
    expect(['30s', '10m', '1h30m', '500ms', '2d', '15'].map(duration)).toEqual([30_000, 600_000, 5_400_000, 500, 172_800_000, 15_000]);
  });
  it.each(['', 's', '10', '1x', '10 s', '-1s', '1h 2m'].filter((text) => text !== '10'))('refuses %j as a duration', (text) => {
    expect(() => duration(text)).toThrow(/30s, 10m or 1h30m/);
  });
  it('reads NAMESPACE/NAME and puts a bare name into default', () => {
    expect(namespacedName('shop/payments')).toEqual({ namespace: 'shop', name: 'payments' });
    expect(namespacedName('payments')).toEqual({ namespace: 'default', name: 'payments' });
  });
  it.each(['', '/', 'a/', '/b', 'a/b/c', 'A/b', 'a/b_c'])('refuses %j as a name', (text) => {
    expect(() => namespacedName(text)).toThrow(/NAMESPACE\/NAME/);
  });
  it('takes HOST:PORT with IPv6 in brackets only', () => {
    expect(hostPort('127.0.0.1:15012')).toBe('127.0.0.1:15012');
    expect(hostPort('[::1]:15012')).toBe('[::1]:15012');
    for (const text of ['::1:15012', 'host', 'host:', 'host:0', 'host:65536', 'http://host:1']) expect(() => hostPort(text)).toThrow(/HOST:PORT/);
  });
  it('takes ports from 0 to 65535 and whole numbers from 1', () => {
    expect([port('0'), port('65535'), positiveInteger('3')]).toEqual([0, 65535, 3]);
    for (const text of ['-1', '65536', 'x', '1.5']) expect(() => port(text)).toThrow();
    for (const text of ['0', '-1', '1.5', '']) expect(() => positiveInteger(text)).toThrow();
  });
});
