// gRPC metadata as the header list that routes and filters see, and back.
import { grpc, HeaderMap, type ResponseHead } from '@weft/data-plane/internal';
import type { Metadata } from './call-types.js';

export function headersOf(metadata: Metadata): HeaderMap {
  return HeaderMap.from(metadata.toHttp2Headers() as Record<string, string | string[]>);
}

export function metadataOf(headers: HeaderMap, options?: ReturnType<Metadata['getOptions']>): Metadata {
  const metadata = new grpc.Metadata(options);
  for (const [name, value] of headers) {
    if (name.startsWith(':') || name === 'host') continue;
    if (!name.endsWith('-bin')) addText(metadata, name, value);
    // Several binary values may come joined by commas (gRPC over HTTP/2).
    else for (const part of value.split(',')) metadata.add(name, Buffer.from(part, 'base64'));
  }
  return metadata;
}

/** gRPC knows only visible ASCII, where edits of a head may have left more. grpc-js throws, into whatever made the attempt: a timer, or its own parser. */
function addText(metadata: Metadata, name: string, value: string): void {
  try {
    metadata.add(name, value);
  } catch {
    // Nor every name of HTTP: that one cannot be sent at all.
    if (/^[0-9a-z_.-]+$/.test(name)) metadata.add(name, value.replace(/[^\x20-\x7e]/g, '_'));
  }
}

/**
 * The metadata of requests. Calls of a channel mostly send the same, and to check it letter by letter anew costs more than all of the
 * route; grpc-js copies what it is given before it changes it.
 */
export class RequestMetadata {
  #headers: readonly string[] = [];
  #made: Metadata | undefined;

  of({ raw }: HeaderMap, options: Options): Metadata {
    const usual = isEmpty(options);
    if (usual && this.#made && same(raw, this.#headers)) return this.#made;
    // The host was chosen; waiting for another connection to it would only hide that it is gone.
    const made = metadataOf(new HeaderMap(raw), { ...options, waitForReady: false });
    if (!usual) return made;
    this.#headers = raw.slice();
    return (this.#made = made);
  }
}

type Options = ReturnType<Metadata['getOptions']>;

function isEmpty(options: Options): boolean {
  for (const _ in options) return false;
  return true;
}

function same(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The head of a gRPC response; the list that filters edit is made only when one asks for it. */
export class GrpcResponseHead implements ResponseHead {
  status = 200;
  readonly grpcStatus?: number;
  readonly #metadata: Metadata;
  #headers: HeaderMap | undefined;

  /** @param grpcStatus of a response that is only trailers. */
  constructor(metadata: Metadata, grpcStatus?: number) {
    this.#metadata = metadata;
    if (grpcStatus !== undefined) this.grpcStatus = grpcStatus;
  }

  get headers(): HeaderMap {
    this.#headers ??= headersOf(this.#metadata);
    return this.#headers;
  }

  readHeader(name: string): string | undefined {
    return this.#headers ? this.#headers.get(name) : this.#metadata.get(name)[0]?.toString();
  }

  takeHeader(name: string): string | undefined {
    const value = this.readHeader(name);
    if (value === undefined) return undefined;
    if (this.#headers) this.#headers.remove(name);
    else this.#metadata.remove(name);
    return value;
  }

  /** As the filters left it. */
  get metadata(): Metadata {
    return this.#headers ? metadataOf(this.#headers) : this.#metadata;
  }
}
