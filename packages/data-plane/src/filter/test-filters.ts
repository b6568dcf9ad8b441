// Filters that see bodies, for tests of adapters. They also serve gRPC: messages shorter than 97 bytes keep their frames.
import type { HttpFilterConfig } from '../resource/listener-config.js';
import type { BodyFilter, FilterStream, HttpFilterFactory, StreamFilter } from './http-filter.js';

/** For tests that call a filter themselves, without bodies. */
export const noBodies: FilterStream = { requestHasBody: false, requestHead: undefined, responseHasBody: false, bufferBody: async () => new Uint8Array(), endWith: () => undefined };

export function testFilter(name: string, stream: StreamFilter | (() => StreamFilter)): HttpFilterConfig {
  const factory: HttpFilterFactory = {
    name, typeUrls: [], sides: ['client', 'server'], parse: () => undefined,
    create: () => ({ forRoute: () => (typeof stream === 'function' ? stream : () => stream) }),
  };
  return { name, factory, config: undefined, disabled: false };
}

const upperCase = (chunk: Uint8Array): Uint8Array => chunk.map((byte) => (byte >= 97 && byte <= 122 ? byte - 32 : byte));

/** Upper-cases both bodies, at once or a turn later, and says so at the end of each. */
export function upperFilter({ later = false } = {}): HttpFilterConfig {
  const body = (): BodyFilter => ({
    data: (chunk) => (later ? new Promise((resolve) => setImmediate(() => resolve(upperCase(chunk)))) : upperCase(chunk)),
    end: (trailers) => trailers.set('x-upper', 'yes'),
  });
  return testFilter('upper', { decodeBody: body, encodeBody: body });
}

/** Adds to the end of both bodies, whose length changes. */
export function appendFilter(text: string): HttpFilterConfig {
  const body = (): BodyFilter => ({ end: () => Buffer.from(text) });
  const noLength = (head: { headers: { remove(name: string): void } }) => head.headers.remove('content-length');
  return testFilter('append', { decodeHeaders: noLength as never, decodeBody: body, encodeHeaders: noLength, encodeBody: body });
}

/** Sees what passes. */
export function watchFilter(seen: { request: string; response: string }): HttpFilterConfig {
  const body = (direction: 'request' | 'response'): BodyFilter => ({ data: (chunk) => ((seen[direction] += Buffer.from(chunk).toString('latin1')), chunk) });
  return testFilter('watch', { decodeBody: () => body('request'), encodeBody: () => body('response') });
}

/** Refuses requests longer than `max`, after another turn. */
export function limitFilter(max: number): HttpFilterConfig {
  return testFilter('limit', {
    decodeHeaders: async (head, _info, stream: FilterStream) => {
      await new Promise((resolve) => setImmediate(resolve));
      const body = await stream.bufferBody(max);
      if (!body) return { status: 413, body: 'too long', details: 'too_long' };
      head.headers.set('x-length', String(body.length));
      return undefined;
    },
  });
}

export function failingFilter(direction: 'decodeBody' | 'encodeBody', later = false): HttpFilterConfig {
  return testFilter('failing', { [direction]: () => ({ data: () => { if (later) return Promise.reject(new Error('broken filter')); throw new Error('broken filter'); } }) });
}
