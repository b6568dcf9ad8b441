// envoy.filters.http.decompressor: takes the compression off bodies, and says to upstreams that it can.
import { typeUrl } from '@weft/xds-api';
import { fromBinary } from '@weft/xds-api/protobuf';
import { Decompressor_CommonDirectionConfigSchema, Decompressor_RequestDirectionConfigSchema, Decompressor_ResponseDirectionConfigSchema, DecompressorSchema, type Decompressor_CommonDirectionConfig } from '@weft/xds-api/filter-body';
import { knownFields, Report } from '../../resource/report.js';
import { featureFlag } from '../../resource/value.js';
import type { HeaderMap } from '../../stream/header-map.js';
import { decompressed, type CodedBody, type Decompression } from '../compression.js';
import type { FilterContext, HttpFilter, HttpFilterFactory, StreamFilter } from '../http-filter.js';
import { decodeDecompression } from './compression-library.js';

interface DirectionConfig {
  readonly enabled: boolean;
  readonly ignoreNoTransform: boolean;
}

interface DecompressorConfig {
  readonly library: string;
  readonly decompression: Decompression;
  readonly request: DirectionConfig;
  readonly response: DirectionConfig;
  readonly advertise: boolean;
}

const fields = knownFields(DecompressorSchema, ['decompressor_library', 'request_direction_config', 'response_direction_config']);
const commonFields = knownFields(Decompressor_CommonDirectionConfigSchema, ['enabled', 'ignore_no_transform_header']);
const requestFields = knownFields(Decompressor_RequestDirectionConfigSchema, ['common_config', 'advertise_accept_encoding']);
const responseFields = knownFields(Decompressor_ResponseDirectionConfigSchema, ['common_config']);

export const decompressor: HttpFilterFactory<DecompressorConfig> = {
  name: 'envoy.filters.http.decompressor',
  typeUrls: [typeUrl(DecompressorSchema)],
  messages: [DecompressorSchema],
  sides: ['client', 'server'],
  parse: (_typeUrl, value) => parse(value),
  create: (context) => new DecompressorFilter(context),
};

function parse(value: Uint8Array): DecompressorConfig {
  const message = fromBinary(DecompressorSchema, value);
  const report = new Report();
  report.check(fields, message, '');
  const decompression = decodeDecompression(message.decompressorLibrary, 'decompressor_library', report);
  const { requestDirectionConfig: request, responseDirectionConfig: response } = message;
  if (request) report.check(requestFields, request, 'request_direction_config');
  if (response) report.check(responseFields, response, 'response_direction_config');
  const config = {
    library: message.decompressorLibrary?.name ?? '',
    decompression: decompression as Decompression,
    request: direction(request?.commonConfig, 'request_direction_config.common_config', report),
    response: direction(response?.commonConfig, 'response_direction_config.common_config', report),
    advertise: request?.advertiseAcceptEncoding ?? true,
  };
  report.finish('Decompressor');
  return config;
}

function direction(common: Decompressor_CommonDirectionConfig | undefined, path: string, report: Report): DirectionConfig {
  if (common) report.check(commonFields, common, path);
  return { enabled: featureFlag(common?.enabled, `${path}.enabled`, report), ignoreNoTransform: common?.ignoreNoTransformHeader ?? false };
}

class DecompressorFilter implements HttpFilter<DecompressorConfig> {
  readonly #context: FilterContext;

  constructor(context: FilterContext) {
    this.#context = context;
  }

  forRoute(config: DecompressorConfig, override: DecompressorConfig | undefined): (() => StreamFilter) | undefined {
    const effective = override ?? config;
    const { request, response, advertise, library, decompression } = effective;
    if (!request.enabled && !response.enabled && !advertise) return undefined;
    const counter = (name: string, help: string) => this.#context.stats?.counter({ name: `envoy_http_decompressor_${name}`, help, labels: ['library', 'coding'] }).series(library, decompression.coding);
    const counters = { done: counter('decompressed', 'Bodies that were decompressed'), failed: counter('failed', 'Bodies that could not be read or grew beyond the allowed ratio') };
    return () => decompressorStream(effective, counters);
  }
}

function decompressorStream({ request, response, advertise, decompression }: DecompressorConfig, counters: { done: { add(): void } | undefined; failed: { add(): void } | undefined }): StreamFilter {
  const { coding } = decompression;
  const bodies: CodedBody[] = [];
  const open = (headers: HeaderMap, { enabled, ignoreNoTransform }: DirectionConfig): CodedBody | undefined => {
    if (!enabled || (!ignoreNoTransform && /(^|,)\s*no-transform\s*(,|$)/i.test(headers.joined('cache-control') ?? ''))) return undefined;
    const codings = (headers.joined('content-encoding') ?? '').split(',').map((token) => token.trim());
    // The last one applied should come off first, but Envoy looks at the first.
    if (codings[0]?.toLowerCase() !== coding) return undefined;
    headers.remove('content-length');
    if (codings.length > 1) headers.set('content-encoding', codings.slice(1).join(','));
    else headers.remove('content-encoding');
    counters.done?.add();
    const body = decompressed(decompression, () => counters.failed?.add());
    bodies.push(body);
    return body;
  };
  return {
    decodeHeaders({ headers, protocol }) {
      if (!advertise || protocol === 'grpc') return undefined;
      const others = (headers.joined('accept-encoding') ?? '').split(',').map((token) => token.trim()).filter((token) => token !== '' && token.split(';', 1)[0]?.trim().toLowerCase() !== coding);
      headers.set('accept-encoding', [...others, coding].join(','));
      return undefined;
    },
    ...(request.enabled && { decodeBody: ({ headers }) => open(headers, request) }),
    ...(response.enabled && { encodeBody: ({ headers }) => open(headers, response) }),
    onComplete: () => bodies.forEach((body) => body.cancel()),
  };
}
