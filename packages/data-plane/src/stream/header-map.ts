// Headers of one message, as every part of the engine sees them: lower-case names in their order of arrival.

/**
 * A flat list of names and values (`[name, value, name, value, …]`), the form undici and node:http take without copying.
 * Look-ups scan it: with the dozen headers of a usual request that is faster than building a map for each.
 */
export class HeaderMap {
  readonly raw: string[];

  /** Takes the list as its own; names must already be lower case. */
  constructor(raw: string[] = []) {
    this.raw = raw;
  }

  /** From any of the forms applications use. Arrays of values become repeated headers; names are lower-cased. */
  static from(headers: HeaderInput | undefined | null): HeaderMap {
    const raw: string[] = [];
    if (!headers) return new HeaderMap(raw);
    if (Array.isArray(headers)) {
      for (let i = 0; i + 1 < headers.length; i += 2) push(raw, headers[i] as string, headers[i + 1] as HeaderValue);
    } else if (typeof (headers as Iterable<unknown>)[Symbol.iterator] === 'function') {
      for (const [name, value] of headers as Iterable<[string, HeaderValue]>) push(raw, name, value);
    } else {
      for (const name of Object.keys(headers)) push(raw, name, (headers as Record<string, HeaderValue>)[name]);
    }
    return new HeaderMap(raw);
  }

  clone(): HeaderMap {
    return new HeaderMap(this.raw.slice());
  }

  has(name: string): boolean {
    const { raw } = this;
    for (let i = 0; i < raw.length; i += 2) if (raw[i] === name) return true;
    return false;
  }

  /** The first value. */
  get(name: string): string | undefined {
    const { raw } = this;
    for (let i = 0; i < raw.length; i += 2) if (raw[i] === name) return raw[i + 1];
    return undefined;
  }

  /** All values joined by a comma, which is what Envoy's matchers compare with. */
  joined(name: string): string | undefined {
    const { raw } = this;
    let value: string | undefined;
    for (let i = 0; i < raw.length; i += 2) if (raw[i] === name) value = value === undefined ? raw[i + 1] : `${value},${raw[i + 1]}`;
    return value;
  }

  all(name: string): string[] {
    const { raw } = this;
    const values: string[] = [];
    for (let i = 0; i < raw.length; i += 2) if (raw[i] === name) values.push(raw[i + 1] as string);
    return values;
  }

  /** Replaces every value of the name by this one. */
  set(name: string, value: string): void {
    const { raw } = this;
    for (let i = 0; i < raw.length; i += 2) {
      if (raw[i] === name) {
        raw[i + 1] = value;
        removeFrom(raw, name, i + 2);
        return;
      }
    }
    raw.push(name, value);
  }

  add(name: string, value: string): void {
    this.raw.push(name, value);
  }

  remove(name: string): void {
    removeFrom(this.raw, name, 0);
  }

  *[Symbol.iterator](): IterableIterator<[string, string]> {
    const { raw } = this;
    for (let i = 0; i < raw.length; i += 2) yield [raw[i] as string, raw[i + 1] as string];
  }
}

export type HeaderValue = string | number | readonly (string | number)[] | Buffer | undefined | null;
export type HeaderInput = readonly (string | HeaderValue)[] | Iterable<[string, HeaderValue]> | Readonly<Record<string, HeaderValue>>;

function push(raw: string[], name: string, value: HeaderValue): void {
  if (value === undefined || value === null) return;
  const key = lower(name);
  if (typeof value === 'string') raw.push(key, value);
  else if (Array.isArray(value)) for (const item of value) raw.push(key, String(item));
  else raw.push(key, Buffer.isBuffer(value) ? value.toString('latin1') : String(value));
}

function lower(name: string | Buffer): string {
  return typeof name === 'string' ? name.toLowerCase() : name.toString('latin1').toLowerCase();
}

function removeFrom(raw: string[], name: string, start: number): void {
  let to = start;
  for (let i = start; i < raw.length; i += 2) {
    if (raw[i] === name) continue;
    raw[to] = raw[i] as string;
    raw[to + 1] = raw[i + 1] as string;
    to += 2;
  }
  raw.length = to;
}
