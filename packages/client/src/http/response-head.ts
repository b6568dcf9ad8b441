import { HeaderMap, type ResponseHead } from '@weft/data-plane/internal';

/** undici's header object. Names are lower case. */
export type HeaderObject = Record<string, string | string[] | undefined>;

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

  /** Undefined: nobody looked, so nobody changed anything. */
  get edited(): HeaderMap | undefined {
    return this.#headers;
  }
}

export function headerObject(headers: HeaderMap): HeaderObject {
  const object: HeaderObject = {};
  for (const [name, value] of headers) {
    const known = Object.hasOwn(object, name) ? object[name] : undefined;
    if (known === undefined) Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
    else if (Array.isArray(known)) known.push(value);
    else object[name] = [known, value];
  }
  return object;
}

/** The form in which undici's older handlers get them. */
export function rawHeaders(headers: HeaderMap): Buffer[] {
  return headers.raw.map((text) => Buffer.from(text, 'latin1'));
}
