// envoy.extensions.filters.http.compressor.v3.Compressor, decoded.
import { fromBinary } from '@weft/xds-api/protobuf';
import {
  Compressor_CommonDirectionConfigSchema, Compressor_RequestDirectionConfigSchema, Compressor_ResponseDirectionConfigSchema, CompressorOverridesSchema, CompressorPerRouteSchema, CompressorSchema, ResponseDirectionOverridesSchema,
  type Compressor, type Compressor_CommonDirectionConfig, type Compressor_ResponseDirectionConfig,
} from '@weft/xds-api/filter-body';
import { join, knownFields, Report } from '../../resource/report.js';
import { featureFlag } from '../../resource/value.js';
import type { Compression } from '../compression.js';
import { decodeCompression } from './compression-library.js';

export interface DirectionConfig {
  readonly enabled: boolean;
  readonly minLength: number;
  readonly contentTypes: ReadonlySet<string>;
}

export interface ResponseDirection extends DirectionConfig {
  readonly disableOnEtag: boolean;
  readonly weakenEtag: boolean;
  readonly removeAcceptEncoding: boolean;
  readonly uncompressible: ReadonlySet<number>;
  readonly statusHeader: boolean;
}

export interface CompressorConfig {
  /** Of the library, for metrics. */
  readonly library: string;
  readonly compression: Compression;
  readonly chooseFirst: boolean;
  readonly request: DirectionConfig;
  readonly response: ResponseDirection;
}

/** `null`: off. */
export type CompressorOverride = { readonly enabled: boolean; readonly removeAcceptEncoding: boolean | undefined; readonly library?: Pick<CompressorConfig, 'library' | 'compression'> } | null;

const fields = knownFields(CompressorSchema, ['content_length', 'content_type', 'disable_on_etag_header', 'remove_accept_encoding_header', 'runtime_enabled', 'compressor_library', 'request_direction_config', 'response_direction_config', 'choose_first']);
const commonFields = knownFields(Compressor_CommonDirectionConfigSchema, ['enabled', 'min_content_length', 'content_type']);
const requestFields = knownFields(Compressor_RequestDirectionConfigSchema, ['common_config']);
const responseFields = knownFields(Compressor_ResponseDirectionConfigSchema, ['common_config', 'disable_on_etag_header', 'remove_accept_encoding_header', 'uncompressible_response_codes', 'status_header_enabled', 'weaken_etag_on_compress']);
const perRouteFields = knownFields(CompressorPerRouteSchema, ['disabled', 'overrides']);
const overridesFields = knownFields(CompressorOverridesSchema, ['response_direction_config', 'compressor_library']);
const responseOverridesFields = knownFields(ResponseDirectionOverridesSchema, ['remove_accept_encoding_header']);

const defaultMinLength = 30;
const defaultContentTypes = [
  'text/html', 'text/plain', 'text/css', 'application/javascript', 'application/x-javascript', 'text/javascript', 'text/x-javascript', 'text/ecmascript', 'text/js', 'text/jscript', 'text/x-js',
  'application/ecmascript', 'application/x-json', 'application/xml', 'application/json', 'image/svg+xml', 'text/xml', 'application/xhtml+xml',
];

/** @throws {DecodeError} */
export function parseCompressor(value: Uint8Array): CompressorConfig {
  const message = fromBinary(CompressorSchema, value);
  const report = new Report();
  report.check(fields, message, '');
  const compression = decodeCompression(message.compressorLibrary, 'compressor_library', report);
  const { requestDirectionConfig } = message;
  if (requestDirectionConfig) report.check(requestFields, requestDirectionConfig, 'request_direction_config');
  const request = direction(requestDirectionConfig?.commonConfig, 'request_direction_config.common_config', report);
  const response = message.responseDirectionConfig ? responseDirection(message.responseDirectionConfig, report) : deprecatedResponse(message, report);
  report.finish('Compressor');
  return {
    library: message.compressorLibrary?.name ?? '',
    compression: compression as Compression,
    chooseFirst: message.chooseFirst,
    // Without any configuration of its own a request stays as it is.
    request: { ...request, enabled: request.enabled && requestDirectionConfig !== undefined },
    response,
  };
}

/** @throws {DecodeError} */
export function parseCompressorOverride(value: Uint8Array): CompressorOverride {
  const message = fromBinary(CompressorPerRouteSchema, value);
  const report = new Report();
  report.check(perRouteFields, message, '');
  const { override } = message;
  let result: CompressorOverride = null;
  if (override.case === 'overrides') {
    report.check(overridesFields, override.value, 'overrides');
    const { responseDirectionConfig } = override.value;
    if (responseDirectionConfig) report.check(responseOverridesFields, responseDirectionConfig, 'overrides.response_direction_config');
    const { compressorLibrary: library } = override.value;
    const compression = library && decodeCompression(library, 'overrides.compressor_library', report);
    result = { enabled: responseDirectionConfig !== undefined, removeAcceptEncoding: responseDirectionConfig?.removeAcceptEncodingHeader, ...(compression && { library: { library: library.name, compression } }) };
  } else if (override.case === undefined) report.add('', 'one of disabled, overrides is required');
  else if (!override.value) report.add('disabled', 'must be true');
  report.finish('CompressorPerRoute');
  return result;
}

function direction(common: Compressor_CommonDirectionConfig | undefined, path: string, report: Report): DirectionConfig {
  if (common) report.check(commonFields, common, path);
  const types = common && common.contentType.length > 0 ? common.contentType : defaultContentTypes;
  return { enabled: featureFlag(common?.enabled, join(path, 'enabled'), report), minLength: common?.minContentLength ?? defaultMinLength, contentTypes: new Set(types.map((type) => type.toLowerCase())) };
}

function responseDirection(message: Compressor_ResponseDirectionConfig, report: Report): ResponseDirection {
  const path = 'response_direction_config';
  report.check(responseFields, message, path);
  for (const code of message.uncompressibleResponseCodes) if (code < 200 || code >= 600) report.add(join(path, 'uncompressible_response_codes'), `must be 200 to 599, is ${code}`);
  return {
    ...direction(message.commonConfig, join(path, 'common_config'), report),
    disableOnEtag: message.disableOnEtagHeader,
    weakenEtag: message.weakenEtagOnCompress,
    removeAcceptEncoding: message.removeAcceptEncodingHeader,
    uncompressible: new Set(message.uncompressibleResponseCodes),
    statusHeader: message.statusHeaderEnabled,
  };
}

function deprecatedResponse(message: Compressor, report: Report): ResponseDirection {
  const types = message.contentType.length > 0 ? message.contentType : defaultContentTypes;
  return {
    enabled: featureFlag(message.runtimeEnabled, 'runtime_enabled', report),
    minLength: message.contentLength ?? defaultMinLength,
    contentTypes: new Set(types.map((type) => type.toLowerCase())),
    disableOnEtag: message.disableOnEtagHeader,
    weakenEtag: false,
    removeAcceptEncoding: message.removeAcceptEncodingHeader,
    uncompressible: new Set(),
    statusHeader: false,
  };
}
