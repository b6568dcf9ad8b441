import { HeaderMap, type ResponseHead } from '@weft/data-plane/internal';

/** undici's header object. Names are lower case. */
export type HeaderObject = Record<string, string | string[] | undefined>;

/** What undici's older handlers read from the controller; made from the list only when they do. */
export type RawHeaders = HeaderMap | Buffer[] | string[] | HeaderObject | null;

/** A response's head over undici's parsed headers: the list that filters edit is made only when one asks for it. */
export class HttpResponseHead implements ResponseHead {
  status: number;
  readonly #parsed: HeaderObject;
  #headers: HeaderMap | undefined;

  constructor(status: number, parsed: HeaderObject) {
    this.status = status;
    this.#parsed = parsed;
  }

  get headers(): HeaderMap {
    this.#headers ??= HeaderMap.from(this.#parsed as Record<string, string | string[]>);
    return this.#headers;
  }

  readHeader(name: string): string | undefined {
    if (this.#headers) return this.#headers.get(name);
    const value = this.#parsed[name];
    return typeof value === 'string' ? value : value?.[0];
  }

  takeHeader(name: string): string | undefined {
    const value = this.readHeader(name);
    if (value !== undefined) this.headers.remove(name);
    return value;
  }

  /** Undefined: nobody changed anything, which is cheaper to find out than to convert. */
  get edited(): HeaderMap | undefined {
    if (!this.#headers) return undefined;
    const { raw } = this.#headers;
    let i = 0;
    for (const name of Object.keys(this.#parsed)) {
      const value = this.#parsed[name]!;
      if (typeof value === 'string') {
        if (raw[i] !== name || raw[i + 1] !== value) return this.#headers;
        i += 2;
      } else {
        for (const item of value) {
          if (raw[i] !== name || raw[i + 1] !== item) return this.#headers;
          i += 2;
        }
      }
    }
    return i === raw.length ? undefined : this.#headers;
  }
}

export function headerObject(headers: HeaderMap): HeaderObject {
  const object: HeaderObject = {};
  const { raw } = headers;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const value = raw[i + 1]!;
    const known = object[name];
    if (known === undefined) object[name] = value;
    // `__proto__`, `constructor` and the like are names a peer may send, too.
    else if (!Object.hasOwn(object, name)) Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
    else if (Array.isArray(known)) known.push(value);
    else object[name] = [known, value];
  }
  return object;
}

export function rawList(headers: RawHeaders): Exclude<RawHeaders, HeaderMap> {
  return headers instanceof HeaderMap ? headers.raw.map((text) => Buffer.from(text, 'latin1')) : headers;
}
