// Readers of option values; each error names the option and says what it takes.
import { InvalidArgumentError } from 'commander';

/** A port number; 0 = any free one. */
export function port(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65535) throw new InvalidArgumentError('a port is a number from 0 to 65535.');
  return value;
}

/** `30s`, `10m`, `1h30m`, `24h`, or seconds as a number. In milliseconds. */
export function duration(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  let rest = text;
  let total = 0;
  while (rest !== '') {
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)/.exec(rest);
    if (!match) throw new InvalidArgumentError('a duration looks like 30s, 10m or 1h30m.');
    total += Number(match[1]) * (units[match[2] as string] as number);
    rest = rest.slice(match[0].length);
  }
  if (text === '') throw new InvalidArgumentError('a duration looks like 30s, 10m or 1h30m.');
  return total;
}

export interface NamespacedName {
  namespace: string;
  name: string;
}

/** `NS/NAME`, or `NAME` in the namespace `default`. */
export function namespacedName(text: string): NamespacedName {
  const parts = text.split('/');
  const [namespace, name] = parts.length === 1 ? ['default', parts[0]] : parts;
  const label = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
  if (parts.length > 2 || !namespace || !name || !label.test(namespace) || !label.test(name)) {
    throw new InvalidArgumentError('it is NAMESPACE/NAME, as in default/payments.');
  }
  return { namespace, name };
}

/** `HOST:PORT`, IPv6 in brackets. */
export function hostPort(text: string): string {
  const match = /^(\[[0-9a-fA-F:]+\]|[^:[\]/]+):(\d{1,5})$/.exec(text);
  if (!match || Number(match[2]) < 1 || Number(match[2]) > 65535) throw new InvalidArgumentError('it is HOST:PORT, as in 127.0.0.1:15012.');
  return text;
}

export function positiveInteger(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('it is a whole number, 1 or more.');
  return Number(text);
}

/** For options that may be given several times. */
export function collect(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}
