const units: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 36e5 };

/** Go's duration text (`1h30m`, `1.5s`, `100ms`, `0`) in milliseconds, or undefined where it is none. Never negative. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^\+?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(ns|us|µs|μs|ms|s|m|h)/g)) total += Number(amount) * units[unit!]!;
  // Sums of decimal fractions leave a trail (0.1 + 0.2); durations on the wire have nanoseconds.
  return Math.round(total * 1e6) / 1e6;
}
