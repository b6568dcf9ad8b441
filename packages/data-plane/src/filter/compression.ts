// gzip, Brotli and Zstandard of Node as filters of bodies, with Envoy's defaults.
import { constants, createBrotliCompress, createBrotliDecompress, createGunzip, createGzip, createZstdCompress, createZstdDecompress } from 'node:zlib';
import type { Transform } from 'node:stream';
import type { BodyFilter } from './http-filter.js';

export type ContentCoding = 'gzip' | 'br' | 'zstd';

type ZlibStream = Transform & { flush(kind: number, done: () => void): void };

/** One body through a stream of node:zlib, which works off the event loop. */
export interface CodedBody extends BodyFilter {
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** The request is over. */
  cancel(): void;
}

export interface Compression {
  readonly coding: ContentCoding;
  create(): Transform;
}

const flushes: Record<ContentCoding, number> = { gzip: constants.Z_SYNC_FLUSH, br: constants.BROTLI_OPERATION_FLUSH, zstd: constants.ZSTD_e_flush };

/** @param options of node:zlib. */
export function compression(coding: ContentCoding, options: object): Compression {
  const create = { gzip: createGzip, br: createBrotliCompress, zstd: createZstdCompress }[coding] as (options: object) => Transform;
  return { coding, create: () => create(options) };
}

export interface Decompression {
  readonly coding: ContentCoding;
  /** Times what came in that may come out: more is an attack. */
  readonly maxRatio: number;
  create(): Transform;
}

export function decompression(coding: ContentCoding, maxRatio: number, options: object = {}): Decompression {
  const create = { gzip: createGunzip, br: createBrotliDecompress, zstd: createZstdDecompress }[coding] as (options: object) => Transform;
  return { coding, maxRatio, create: () => create(options) };
}

/** What has been written goes out in the same turn of the event loop, unless the end follows at once. */
export function compressed({ coding, create }: Compression): CodedBody {
  const stream = create() as ZlibStream;
  let sink: ((chunk: Uint8Array) => void) | undefined;
  let flush: NodeJS.Immediate | undefined;
  const body = {
    bytesIn: 0,
    bytesOut: 0,
    data(chunk: Uint8Array, push: (chunk: Uint8Array) => void) {
      sink = push;
      body.bytesIn += chunk.length;
      clearImmediate(flush);
      return new Promise<undefined>((resolve, reject) => {
        stream.write(chunk, (error) => {
          if (error) return reject(error);
          flush = setImmediate(() => stream.flush(flushes[coding], () => undefined));
          resolve(undefined);
        });
      });
    },
    end(_trailers: unknown, push: (chunk: Uint8Array) => void) {
      sink = push;
      clearImmediate(flush);
      return new Promise<undefined>((resolve, reject) => {
        stream.once('end', () => resolve(undefined)).once('error', reject).end();
      });
    },
    cancel() {
      clearImmediate(flush);
      stream.destroy();
    },
  };
  stream.on('data', (chunk: Buffer) => {
    body.bytesOut += chunk.length;
    sink?.(chunk);
  });
  stream.on('error', () => undefined);
  return body;
}

/** As Envoy: what cannot be read, and what is more than the ratio allows, ends the body there; what came before goes on. */
export function decompressed({ create, maxRatio }: Decompression, failed: () => void): CodedBody {
  const stream = create();
  let sink: ((chunk: Uint8Array) => void) | undefined;
  let release: (() => void) | undefined;
  let broken = false;
  const give = (settle: () => void): void => {
    release = undefined;
    settle();
  };
  const breakOff = () => {
    if (broken) return;
    broken = true;
    failed();
    stream.destroy();
    release?.();
  };
  const body = {
    bytesIn: 0,
    bytesOut: 0,
    data(chunk: Uint8Array, push: (chunk: Uint8Array) => void) {
      if (broken) return undefined;
      sink = push;
      body.bytesIn += chunk.length;
      return new Promise<undefined>((resolve) => {
        release = () => give(() => resolve(undefined));
        stream.write(chunk, () => release?.());
      });
    },
    end(_trailers: unknown, push: (chunk: Uint8Array) => void) {
      if (broken) return undefined;
      sink = push;
      return new Promise<undefined>((resolve) => {
        release = () => give(() => resolve(undefined));
        stream.once('end', () => release?.()).end();
      });
    },
    cancel: () => void stream.destroy(),
  };
  stream.on('data', (chunk: Buffer) => {
    if (broken) return;
    if (body.bytesOut + chunk.length > body.bytesIn * maxRatio) return breakOff();
    body.bytesOut += chunk.length;
    sink?.(chunk);
  });
  stream.on('error', breakOff);
  return body;
}
