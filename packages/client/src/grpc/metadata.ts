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
    if (!name.endsWith('-bin')) metadata.add(name, value);
    // Several binary values may come joined by commas (gRPC over HTTP/2).
    else for (const part of value.split(',')) metadata.add(name, Buffer.from(part, 'base64'));
  }
  return metadata;
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

  takeHeader(name: string): string | undefined {
    if (this.#headers) {
      const value = this.#headers.get(name);
      this.#headers.remove(name);
      return value;
    }
    const [value] = this.#metadata.get(name);
    if (value !== undefined) this.#metadata.remove(name);
    return value?.toString();
  }

  /** As the filters left it. */
  get metadata(): Metadata {
    return this.#headers ? metadataOf(this.#headers) : this.#metadata;
  }
}
