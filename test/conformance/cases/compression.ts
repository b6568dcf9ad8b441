import { any, filterOf, type BackendAnswer, type ConformanceCase, type Exchange, type Json } from '../conformance-case.js';

const type = 'envoy.extensions.filters.http.compressor.v3.Compressor';
const library = (coding: string) => ({ name: coding, typed_config: any(`envoy.extensions.compression.${coding}.compressor.v3.${coding[0]!.toUpperCase()}${coding.slice(1)}`) });
const compressor = (coding = 'gzip', config: Json = {}) => filterOf(`${coding}-compressor`, type, { compressor_library: library(coding), ...config });
const long = 'a'.repeat(100);

function exchange(acceptEncoding: string | undefined, coding: 'gzip' | 'br' | 'zstd' | undefined, answer: BackendAnswer = {}, expected: Exchange['expect'] = {}): Exchange {
  const { body = long } = answer;
  return {
    headers: acceptEncoding === undefined ? {} : { 'accept-encoding': acceptEncoding },
    answer: { body, ...answer },
    expect: { body, ...(coding && { coding }), ...expected, headers: { 'content-encoding': coding, 'content-length': coding ? undefined : String(body.length), vary: 'Accept-Encoding', ...expected.headers } },
  };
}
const left = (answer: BackendAnswer, headers: Json = {}) => exchange('gzip', undefined, answer, { headers: { vary: undefined, ...headers } as never });

export const compressionCases: readonly ConformanceCase[] = [
  {
    name: 'a route has another library',
    protocols: ['http'],
    filters: [compressor('gzip')],
    routes: [{ match: { prefix: '/br' }, typed_per_filter_config: { 'gzip-compressor': any('envoy.extensions.filters.http.compressor.v3.CompressorPerRoute', { overrides: { compressor_library: library('brotli') } }) } }, {}],
    exchanges: [{ path: '/br', ...exchange('br, gzip', 'br') }, { path: '/', ...exchange('gzip', 'gzip') }],
  },
  {
    name: 'compresses what the caller takes compressed',
    protocols: ['http'],
    filters: [compressor()],
    exchanges: [
      exchange('gzip', 'gzip'), exchange('deflate, gzip', 'gzip'), exchange('*', 'gzip'), exchange('deflate, *;q=0.5', 'gzip'), exchange('gzip;q=0.5, identity;q=0.4', 'gzip'), exchange('gzip;q=1.5', 'gzip'),
      exchange(undefined, undefined), exchange('identity', undefined), exchange('gzip;q=0', undefined), exchange('GZIP', undefined), exchange('identity, gzip;q=0.5', undefined), exchange('*;q=0', undefined),
      exchange('gzip;q=abc', undefined), exchange('x-gzip', undefined),
    ],
  },
  {
    name: 'leaves what is short, of another type, compressed already or not to be touched',
    protocols: ['http'],
    filters: [compressor()],
    exchanges: [
      left({ body: 'a'.repeat(29) }),
      exchange('gzip', 'gzip', { body: 'a'.repeat(30) }),
      exchange('gzip', 'gzip', { body: 'a'.repeat(20), chunked: true }),
      left({ headers: { 'content-type': 'image/png' } }),
      left({ headers: { 'content-type': 'text/html2' } }),
      exchange('gzip', 'gzip', { headers: { 'content-type': 'TEXT/HTML; charset=utf-8' } }),
      left({ headers: { 'cache-control': 'public, no-transform' } }),
      left({ headers: { 'content-encoding': 'x' } }, { 'content-encoding': 'x' }),
    ],
  },
  {
    name: 'keeps weak validators, drops strong ones, adds to Vary',
    protocols: ['http'],
    filters: [compressor()],
    exchanges: [
      exchange('gzip', 'gzip', { headers: { etag: '"a"' } }, { headers: { etag: undefined } }),
      exchange('gzip', 'gzip', { headers: { etag: 'W/"a"' } }, { headers: { etag: 'W/"a"' } }),
      exchange('gzip', 'gzip', { headers: { vary: 'Cookie' } }, { headers: { vary: 'Cookie, Accept-Encoding' } }),
      exchange('gzip', 'gzip', { headers: { vary: 'accept-encoding' } }, { headers: { vary: 'accept-encoding, Accept-Encoding' } }),
      exchange('gzip', 'gzip', { status: 404 }, { status: 404 }),
    ],
  },
  {
    name: 'agrees with the other compressors of the chain',
    protocols: ['http'],
    filters: [compressor('gzip'), compressor('brotli')],
    exchanges: [exchange('gzip, br', 'gzip'), exchange('br, gzip', 'br'), exchange('gzip;q=0.5, br', 'br'), exchange('*', 'gzip'), exchange('br;q=0.5, *', 'gzip'), exchange('gzip;q=0, *', 'br')],
  },
  {
    name: 'prefers the one that is to be chosen first',
    protocols: ['http'],
    filters: [compressor('gzip'), compressor('zstd', { choose_first: true })],
    exchanges: [exchange('gzip, zstd', 'zstd'), exchange('gzip, zstd;q=0.9', 'gzip'), exchange('*', 'gzip')],
  },
  {
    name: 'has its own types and lengths, and may leave what has a validator',
    protocols: ['http'],
    filters: [compressor('gzip', { response_direction_config: { disable_on_etag_header: true, remove_accept_encoding_header: true, common_config: { min_content_length: 50, content_type: ['text/html'] } } })],
    exchanges: [
      exchange('gzip', 'gzip', { headers: { 'content-type': 'text/html' } }, { seen: { 'accept-encoding': undefined } }),
      left({ headers: { 'content-type': 'text/html', etag: 'W/"a"' } }, { etag: 'W/"a"' }),
      left({ headers: { 'content-type': 'text/html' }, body: 'a'.repeat(49) }),
      left({}),
    ],
  },
  {
    name: 'can be switched off and changed for a route',
    protocols: ['http'],
    filters: [compressor('gzip', { response_direction_config: { common_config: { enabled: { default_value: false, runtime_key: 'x' } } } })],
    routes: [
      { match: { prefix: '/off' }, typed_per_filter_config: { 'gzip-compressor': any('envoy.extensions.filters.http.compressor.v3.CompressorPerRoute', { disabled: true }) } },
      { match: { prefix: '/on' }, typed_per_filter_config: { 'gzip-compressor': any('envoy.extensions.filters.http.compressor.v3.CompressorPerRoute', { overrides: { response_direction_config: { remove_accept_encoding_header: true } } }) } },
      {},
    ],
    exchanges: [
      { ...left({}), path: '/off' },
      { ...exchange('gzip', 'gzip', {}, { seen: { 'accept-encoding': undefined } }), path: '/on' },
      { ...left({}), path: '/' },
    ],
  },
  {
    name: 'compresses requests where it is told to',
    protocols: ['http'],
    filters: [compressor('gzip', { request_direction_config: { common_config: { enabled: { default_value: true, runtime_key: 'x' } } } })],
    exchanges: [
      { method: 'POST', headers: { 'content-type': 'application/json' }, body: long, expect: { seen: { 'content-encoding': 'gzip', 'content-length': undefined }, seenBody: long, seenCoding: 'gzip' } },
      { method: 'POST', headers: { 'content-type': 'application/json' }, body: 'short', expect: { seen: { 'content-encoding': undefined, 'content-length': '5' }, seenBody: 'short' } },
      { method: 'POST', headers: { 'content-type': 'image/png' }, body: long, expect: { seen: { 'content-encoding': undefined }, seenBody: long } },
    ],
  },
  {
    name: 'may leave statuses alone, keep validators as weak ones, and say what it did',
    protocols: ['http'],
    filters: [compressor('gzip', { response_direction_config: { uncompressible_response_codes: [206], status_header_enabled: true, weaken_etag_on_compress: true } })],
    exchanges: [
      { ...left({ status: 206 }, { 'x-envoy-compression-status': 'gzip;StatusCodeNotAllowed' }), expect: { status: 206, headers: { 'x-envoy-compression-status': 'gzip;StatusCodeNotAllowed', 'content-encoding': undefined } } },
      exchange('gzip', 'gzip', { headers: { etag: '"a"' } }, { headers: { etag: 'W/"a"', 'x-envoy-compression-status': 'gzip;Compressed;OriginalLength=100' } }),
      left({ body: 'short' }, { 'x-envoy-compression-status': 'gzip;ContentLengthTooSmall' }),
      left({ headers: { 'content-type': 'image/png' } }, { 'x-envoy-compression-status': 'gzip;ContentTypeNotAllowed' }),
      exchange(undefined, undefined, {}, { headers: { 'x-envoy-compression-status': undefined } }),
    ],
  },
  { name: 'leaves gRPC alone', protocols: ['grpc'], filters: [compressor()], exchanges: [{ headers: { 'accept-encoding': 'gzip' }, expect: { headers: { 'content-encoding': undefined } } }] },
];

const decompressor = (coding = 'gzip', config: Json = {}) => filterOf(`${coding}-decompressor`, 'envoy.extensions.filters.http.decompressor.v3.Decompressor', { decompressor_library: { name: coding, typed_config: any(`envoy.extensions.compression.${coding}.decompressor.v3.${coding[0]!.toUpperCase()}${coding.slice(1)}`) }, ...config });

export const decompressionCases: readonly ConformanceCase[] = [
  {
    name: 'takes the compression off both bodies and says that it can',
    protocols: ['http'],
    filters: [decompressor()],
    exchanges: [
      {
        method: 'POST', headers: { 'content-encoding': 'gzip' }, body: 'hello hello hello', coding: 'gzip', answer: { body: long, coding: 'gzip', headers: { 'content-encoding': 'gzip' } },
        expect: { body: long, headers: { 'content-encoding': undefined, 'content-length': undefined }, seen: { 'content-encoding': undefined, 'content-length': undefined, 'accept-encoding': 'gzip' }, seenBody: 'hello hello hello' },
      },
      { headers: { 'accept-encoding': 'gzip;q=0.5' }, expect: { seen: { 'accept-encoding': 'gzip' } } },
      { headers: { 'accept-encoding': 'br' }, expect: { seen: { 'accept-encoding': 'br,gzip' } } },
      { answer: { body: long, coding: 'gzip', headers: { 'content-encoding': 'gzip', 'cache-control': 'no-transform' } }, expect: { body: long, coding: 'gzip', headers: { 'content-encoding': 'gzip' } } },
    ],
  },
  {
    name: 'looks at the first coding only',
    protocols: ['http'],
    filters: [decompressor('gzip', { request_direction_config: { advertise_accept_encoding: false } })],
    exchanges: [
      { method: 'POST', headers: { 'content-encoding': 'gzip, x' }, body: 'hello', coding: 'gzip', expect: { seen: { 'content-encoding': 'x', 'accept-encoding': undefined }, seenBody: 'hello' } },
      { method: 'POST', headers: { 'content-encoding': 'x, gzip' }, body: 'hello', coding: 'gzip', expect: { seen: { 'content-encoding': 'x, gzip' }, seenBody: 'hello', seenCoding: 'gzip' } },
    ],
  },
  {
    name: 'of what cannot be read gives on what it could read',
    protocols: ['http'],
    filters: [decompressor()],
    exchanges: [
      { method: 'POST', headers: { 'content-encoding': 'gzip' }, body: 'not gzip', expect: { seen: { 'content-encoding': undefined }, seenBody: '' } },
      { answer: { body: 'not gzip', headers: { 'content-encoding': 'gzip' } }, expect: { body: '' } },
    ],
  },
  {
    name: 'ends what grows beyond the ratio',
    protocols: ['http'],
    filters: [decompressor()],
    exchanges: [{ method: 'POST', headers: { 'content-encoding': 'gzip' }, body: 'a'.repeat(3_000_000), coding: 'gzip', expect: { seen: { 'content-encoding': undefined } } }],
  },
];
