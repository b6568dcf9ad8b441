import { afterEach, expect, it, vi } from 'vitest';
import { Rotation, type Logger, type X509Svid } from './index.js';
import { FakeClock, TestAuthority } from './testing.js';

const start = Date.UTC(2030, 0, 1);
const authority = TestAuthority.create('td');
const hour = 3_600_000;
const svidAt = (now: number): X509Svid => authority.svid('/web', { notBefore: now, notAfter: now + hour });

const open: Rotation[] = [];
afterEach(() => open.splice(0).forEach((rotation) => rotation.close()));

function setup(random: number) {
  const clock = new FakeClock(start);
  const renew = vi.fn(async () => svidAt(clock.now()));
  const levels: string[] = [];
  const log = (level: string) => () => void levels.push(level);
  const logger: Logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
  const rotation = new Rotation({ clock, renew, logger, random: () => random });
  open.push(rotation);
  return { clock, renew, rotation, levels };
}
const settled = () => new Promise((resolve) => setImmediate(resolve));

it.each([[0, 0.45], [0.5, 0.5], [0.999, 0.5499]])('renews at half of the lifetime, shifted by up to 10 %% of it (random %f)', async (random, part) => {
  const { clock, renew, rotation } = setup(random);
  rotation.start(svidAt(start));
  clock.advance(part * hour - 1000);
  expect(renew).toHaveBeenCalledTimes(0);
  clock.advance(2000);
  expect(renew).toHaveBeenCalledTimes(1);
  await settled();
  clock.advance(part * hour + 2000);
  expect(renew).toHaveBeenCalledTimes(2);
});

it('tries again with growing pauses until expiry and after it, and says how bad it is', async () => {
  const { clock, renew, rotation, levels } = setup(0.5);
  renew.mockRejectedValue(new Error('down'));
  rotation.start(svidAt(start));
  const calls: number[] = [];
  renew.mockImplementation(async () => {
    calls.push(clock.now() - start);
    throw new Error('down');
  });
  while (clock.now() < start + 1.2 * hour) {
    clock.advance(500);
    await settled();
  }
  const pauses = calls.slice(1).map((time, index) => time - calls[index]!);
  expect(calls[0]).toBeCloseTo(hour / 2, -3);
  expect(pauses[0]).toBeLessThanOrEqual(1500);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(61_000);
  expect(pauses.at(-1)).toBeGreaterThan(50_000);
  expect(calls.at(-1)).toBeGreaterThan(hour);
  expect(levels[0]).toBe('warn');
  expect(levels.at(-1)).toBe('error');
  renew.mockImplementation(async () => svidAt(clock.now()));
  clock.advance(62_000);
  await settled();
  const before = renew.mock.calls.length;
  clock.advance(0.4 * hour);
  expect(renew).toHaveBeenCalledTimes(before);
});

it('notices within a minute that the clock was set forward', async () => {
  const { clock, renew, rotation } = setup(0.5);
  rotation.start(svidAt(start));
  const now = clock.now.bind(clock);
  clock.now = () => now() + 5 * hour;
  clock.advance(60_000);
  expect(renew).toHaveBeenCalledTimes(1);
});

it('renews soon when asked, once more when asked during a renewal, and not after close', async () => {
  const { clock, renew, rotation } = setup(0.5);
  rotation.start(svidAt(start));
  rotation.renewSoon(1000);
  rotation.renewSoon(10_000);
  clock.advance(500);
  expect(renew).toHaveBeenCalledTimes(1);
  rotation.renewSoon(1000);
  await settled();
  clock.advance(0);
  expect(renew).toHaveBeenCalledTimes(2);
  await settled();
  rotation.close();
  clock.advance(10 * hour);
  expect(renew).toHaveBeenCalledTimes(2);
  expect(clock.pending).toBe(0);
});
