// envoy.filters.http.compressor: compresses responses that the caller takes compressed, and requests where it is told to.
import { typeUrl } from '@weft/xds-api';
import { CompressorPerRouteSchema, CompressorSchema } from '@weft/xds-api/filter-body';
import type { HeaderMap } from '../../stream/header-map.js';
import type { ResponseHead } from '../../stream/response-head.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import { compressed, type CodedBody } from '../compression.js';
import type { FilterContext, FilterStream, HttpFilter, HttpFilterFactory, StreamFilter } from '../http-filter.js';
import { chooseCoding, type Candidate } from './accept-encoding.js';
import { parseCompressor, parseCompressorOverride, type CompressorConfig, type CompressorOverride, type DirectionConfig, type ResponseDirection } from './compressor-config.js';

export const compressor: HttpFilterFactory<CompressorConfig, CompressorOverride> = {
  name: 'envoy.filters.http.compressor',
  typeUrls: [typeUrl(CompressorSchema), typeUrl(CompressorPerRouteSchema)],
  messages: [CompressorSchema, CompressorPerRouteSchema],
  sides: ['client', 'server'],
  parse: (_typeUrl, value) => parseCompressor(value),
  parseOverride: (_typeUrl, value) => parseCompressorOverride(value),
  create: (context) => new CompressorFilter(context),
};

/** What the compressors of one request have in common. */
interface Negotiation {
  readonly candidates: Candidate[];
  /** Of the first that was asked. */
  decision?: { readonly coding: string | undefined };
}

const negotiations = new WeakMap<StreamInfo, Negotiation>();

type Count = (direction: 'request' | 'response', body: CodedBody | undefined) => void;

class CompressorFilter implements HttpFilter<CompressorConfig, CompressorOverride> {
  readonly #context: FilterContext;

  constructor(context: FilterContext) {
    this.#context = context;
  }

  forRoute(filterConfig: CompressorConfig, override: CompressorOverride | undefined): (() => StreamFilter) | undefined {
    if (override === null) return undefined;
    const config = { ...filterConfig, ...override?.library };
    const response: ResponseDirection = override
      ? { ...config.response, enabled: config.response.enabled || override.enabled, removeAcceptEncoding: override.removeAcceptEncoding ?? config.response.removeAcceptEncoding }
      : config.response;
    if (!config.request.enabled && !response.enabled) return undefined;
    const candidate: Candidate = { coding: config.compression.coding, chooseFirst: config.chooseFirst, allowsContentType: (type) => allowsType(response, type) };
    const count = this.#counters(config);
    return () => compressorStream({ ...config, response }, candidate, count);
  }

  #counters({ library, compression }: CompressorConfig): Count {
    const { stats } = this.#context;
    if (!stats) return () => undefined;
    const counter = (name: string, help: string) => stats.counter({ name: `envoy_http_compressor_${name}`, help, labels: ['library', 'coding', 'direction'] });
    const families = { yes: counter('compressed', 'Bodies that were compressed'), no: counter('not_compressed', 'Messages left as they were'), before: counter('total_uncompressed_bytes', 'Bytes before'), after: counter('total_compressed_bytes', 'Bytes after') };
    return (direction, body) => {
      const labels = [library, compression.coding, direction] as const;
      if (!body) return families.no.series(...labels).add();
      families.yes.series(...labels).add();
      families.before.series(...labels).add(body.bytesIn);
      families.after.series(...labels).add(body.bytesOut);
    };
  }
}

function compressorStream(config: CompressorConfig, candidate: Candidate, count: Count): StreamFilter {
  const { compression, request, response } = config;
  const { coding } = compression;
  const bodies: { request?: CodedBody; response?: CodedBody } = {};
  let acceptEncoding: string | undefined;
  const compressesRequest = (headers: HeaderMap) => longEnough(request, headers) && allowsType(request, headers.get('content-type')) && !headers.has('content-encoding') && plainTransfer(headers);
  return {
    decodeHeaders({ headers, protocol }, info) {
      // Frames of gRPC have compression of their own.
      if (protocol === 'grpc' || !response.enabled) return undefined;
      acceptEncoding = headers.joined('accept-encoding');
      if (response.removeAcceptEncoding) headers.remove('accept-encoding');
      const negotiation = negotiations.get(info);
      if (negotiation) negotiation.candidates.push(candidate);
      else negotiations.set(info, { candidates: [candidate] });
      return undefined;
    },
    ...(request.enabled && {
      decodeBody({ headers, protocol }) {
        if (protocol === 'grpc' || !compressesRequest(headers)) return undefined;
        headers.remove('content-length');
        headers.set('content-encoding', coding);
        return (bodies.request = compressed(compression));
      },
    }),
    ...(response.enabled && {
      encodeHeaders(head, info, stream) {
        if (info.protocol === 'grpc') return;
        if (negotiate(head, info, stream, response, acceptEncoding, coding)) bodies.response = compressed(compression);
      },
      encodeBody: () => bodies.response,
    }),
    onComplete(info) {
      bodies.request?.cancel();
      bodies.response?.cancel();
      if (info.protocol === 'grpc') return;
      count('request', bodies.request);
      if (info.status !== 0 && response.enabled) count('response', bodies.response);
    },
  };
}

/** Edits the head as Envoy does. @returns whether the body is to be compressed. */
function negotiate(head: ResponseHead, info: StreamInfo, stream: FilterStream, config: ResponseDirection, acceptEncoding: string | undefined, coding: string): boolean {
  const { headers, status } = head;
  const type = headers.get('content-type');
  const etag = headers.get('etag');
  const long = longEnough(config, headers);
  const typeAllowed = allowsType(config, type);
  const etagAllowed = !config.disableOnEtag || etag === undefined;
  const statusAllowed = !config.uncompressible.has(status);
  const untouchable = hasToken(headers.joined('cache-control'), 'no-transform') || headers.has('content-encoding') || !plainTransfer(headers);
  const compressible = long && typeAllowed && etagAllowed && statusAllowed && !untouchable;
  const wanted = stream.responseHasBody && acceptEncoding !== undefined && compressible && decide(info, acceptEncoding, type) === coding;
  if (config.statusHeader && stream.responseHasBody && acceptEncoding !== undefined && !untouchable) {
    const word = !long ? 'ContentLengthTooSmall' : !typeAllowed ? 'ContentTypeNotAllowed' : !etagAllowed ? 'EtagNotAllowed' : !statusAllowed ? 'StatusCodeNotAllowed' : undefined;
    const length = headers.get('content-length');
    if (word ?? wanted) append(headers, 'x-envoy-compression-status', `${coding};${word ?? `Compressed${length === undefined ? '' : `;OriginalLength=${length}`}`}`, ',');
  }
  if (wanted) {
    // A strong validator is of these very bytes.
    if (etag !== undefined && !/^w\//i.test(etag)) {
      if (config.weakenEtag) headers.set('etag', `W/${etag}`);
      else headers.remove('etag');
    }
    headers.remove('content-length');
    headers.set('content-encoding', coding);
  }
  // Also where this caller gets it as it is: caches in front have to know that others may not.
  if (compressible && !headers.joined('vary')?.includes('Accept-Encoding')) append(headers, 'vary', 'Accept-Encoding', ', ');
  return wanted;
}

/** The first compressor that could do it decides for all. */
function decide(info: StreamInfo, acceptEncoding: string, type: string | undefined): string | undefined {
  const negotiation = negotiations.get(info);
  if (!negotiation) return undefined;
  negotiation.decision ??= { coding: chooseCoding(acceptEncoding, negotiation.candidates, type) };
  return negotiation.decision.coding;
}

function longEnough({ minLength }: DirectionConfig, headers: HeaderMap): boolean {
  const length = headers.get('content-length');
  return length === undefined || Number(length) >= minLength;
}

function allowsType({ contentTypes }: DirectionConfig, type: string | undefined): boolean {
  return type === undefined || contentTypes.has((type.split(';', 1)[0] as string).trim().toLowerCase());
}

/** Whether nothing but chunking was done to it on the way. */
function plainTransfer(headers: HeaderMap): boolean {
  const codings = headers.joined('transfer-encoding');
  return codings === undefined || codings.split(',').every((token) => /^\s*(chunked|identity)?\s*$/i.test(token));
}

function hasToken(value: string | undefined, token: string): boolean {
  return value !== undefined && value.split(',').some((part) => part.trim().toLowerCase() === token);
}

function append(headers: HeaderMap, name: string, value: string, separator: string): void {
  const before = headers.all(name).join(separator);
  headers.set(name, before === '' ? value : `${before}${separator}${value}`);
}
