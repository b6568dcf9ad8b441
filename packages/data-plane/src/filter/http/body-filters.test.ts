import { create, toBinary, type DescMessage, type MessageInitShape } from '@weft/xds-api/protobuf';
import { packAny } from '@weft/xds-api';
import { BandwidthLimitSchema, BandwidthLimit_EnableMode as Mode, BrotliCompressorSchema, BufferPerRouteSchema, BufferSchema, CompressorPerRouteSchema, CompressorSchema, DecompressorSchema, GrpcStatsSchema, GzipCompressorSchema, GzipDecompressorSchema } from '@weft/xds-api/filter-body';
import { describe, expect, it } from 'vitest';
import { HeaderMap } from '../../stream/header-map.js';
import { requestHead, streamInfo } from '../../route/test-support.js';
import { prometheusText } from '../../telemetry/prometheus.js';
import { Stats } from '../../telemetry/stats.js';
import type { HttpFilterFactory } from '../http-filter.js';
import { noBodies } from '../test-filters.js';
import { bandwidthLimit } from './bandwidth-limit.js';
import { buffer } from './buffer.js';
import { compressor } from './compressor.js';
import { decompressor } from './decompressor.js';
import { grpcStats } from './grpc-stats.js';

function encode<T extends DescMessage>(schema: T, init: MessageInitShape<T>): Uint8Array {
  return toBinary(schema, create(schema, init));
}
const library = (schema: DescMessage, init: Record<string, unknown>) => ({ name: 'l', typedConfig: packAny(schema as typeof GzipCompressorSchema, create(schema, init) as never) });
const second = { seconds: 1n, nanos: 0 };

describe('wrong configuration is refused', () => {
  const parse = (factory: HttpFilterFactory<never, never>, schema: DescMessage, init: Record<string, unknown>, override = false) => () =>
    (override ? factory.parseOverride! : factory.parse).call(factory, '', encode(schema, init));
  it.each<[string, () => unknown, RegExp]>([
    ['a buffer without a limit', parse(buffer as never, BufferSchema, {}), /max_request_bytes: is required/],
    ['a buffer of nothing', parse(buffer as never, BufferSchema, { maxRequestBytes: 0 }), /max_request_bytes: must be greater/],
    ['an override of nothing', parse(buffer as never, BufferPerRouteSchema, {}, true), /one of disabled, buffer/],
    ['a rate without a prefix', parse(bandwidthLimit as never, BandwidthLimitSchema, { limitKbps: 1n }), /stat_prefix/],
    ['a rate without a limit', parse(bandwidthLimit as never, BandwidthLimitSchema, { statPrefix: 'a', enableMode: Mode.REQUEST }), /limit_kbps: is required/],
    ['an interval that is too long', parse(bandwidthLimit as never, BandwidthLimitSchema, { statPrefix: 'a', limitKbps: 1n, fillInterval: { ...second, nanos: 1 } }), /fill_interval/],
    ['a compressor without a library', parse(compressor as never, CompressorSchema, {}), /compressor_library: is required/],
    ['a compressor of another kind', parse(compressor as never, CompressorSchema, { compressorLibrary: library(BufferSchema, {}) }), /compressor_library\.typed_config: no compressor reads/],
    ['a window of Brotli', parse(compressor as never, CompressorSchema, { compressorLibrary: library(BrotliCompressorSchema, { windowBits: 30 }) }), /window_bits: must be 10 to 24/],
    ['an override of a compressor of nothing', parse(compressor as never, CompressorPerRouteSchema, {}, true), /one of disabled, overrides/],
    ['a ratio', parse(decompressor as never, DecompressorSchema, { decompressorLibrary: library(GzipDecompressorSchema, { maxInflateRatio: 2000 }) }), /max_inflate_ratio: must be 1 to 1032/],
    ['a list of methods without names', parse(grpcStats as never, GrpcStatsSchema, { perMethodStatSpecifier: { case: 'individualMethodStatsAllowlist', value: { services: [{ name: 'a' }] } } }), /services\[0\]\.method_names/],
  ])('%s', (_name, run, reason) => {
    expect(run).toThrow(reason);
  });
});

describe('a compressor', () => {
  it('may leave statuses alone, keep validators as weak ones, and say what it did', () => {
    const config = encode(CompressorSchema, { compressorLibrary: library(GzipCompressorSchema, {}), responseDirectionConfig: { uncompressibleResponseCodes: [206], statusHeaderEnabled: true, weakenEtagOnCompress: true } });
    const filter = compressor.create({ random: () => 0, now: () => 0, setTimeout: () => ({ cancel() {} }) });
    const make = filter.forRoute(compressor.parse('', config), undefined, undefined as never)!;
    const run = (status: number, headers: Record<string, string>) => {
      const stream = make();
      const info = streamInfo();
      stream.decodeHeaders!(requestHead('/', { 'accept-encoding': 'gzip' }), info, noBodies);
      const head = { status, headers: HeaderMap.from({ 'content-length': '100', ...headers }) };
      stream.encodeHeaders!(head, info, { ...noBodies, responseHasBody: true });
      stream.onComplete!(info);
      return Object.fromEntries(head.headers);
    };
    expect(run(206, {})).toEqual({ 'content-length': '100', 'x-envoy-compression-status': 'gzip;StatusCodeNotAllowed' });
    expect(run(200, { etag: '"a"' })).toEqual({ etag: 'W/"a"', 'content-encoding': 'gzip', vary: 'Accept-Encoding', 'x-envoy-compression-status': 'gzip;Compressed;OriginalLength=100' });
    expect(run(200, { 'content-length': '3' })).toEqual({ 'content-length': '3', 'x-envoy-compression-status': 'gzip;ContentLengthTooSmall' });
    expect(run(200, { 'content-type': 'image/png' })).toMatchObject({ 'x-envoy-compression-status': 'gzip;ContentTypeNotAllowed' });
  });
});

describe('gRPC statistics', () => {
  const count = (init: MessageInitShape<typeof GrpcStatsSchema>, path = '/pkg.a.S/M') => {
    const stats = new Stats();
    const filter = grpcStats.create({ random: () => 0, now: () => 0, setTimeout: () => ({ cancel() {} }), stats });
    const stream = filter.forRoute(grpcStats.parse('', encode(GrpcStatsSchema, init)), undefined, undefined as never)!();
    const info = streamInfo({ protocol: 'grpc', clusterName: 'c' });
    const head = { ...requestHead(path), protocol: 'grpc' as const };
    stream.decodeHeaders!(head, info, noBodies);
    const frame = Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]);
    const request = stream.decodeBody!(head, info)!;
    for (const byte of Buffer.concat([frame, frame])) request.data!(Uint8Array.of(byte), () => undefined);
    stream.encodeBody!({ status: 200, headers: new HeaderMap() }, info)!.data!(Buffer.concat([frame, frame, frame.subarray(0, 2)]), () => undefined);
    info.grpcStatus = 5;
    stream.onComplete!(info);
    return prometheusText(stats).split('\n').filter((line) => line.startsWith('envoy') && !line.includes('_bucket'));
  };
  it('count messages and statuses by method, where that is wanted', () => {
    const labels = '{envoy_cluster_name="c",envoy_grpc_bridge_service="pkg.a.S",envoy_grpc_bridge_method="M"}';
    expect(count({ perMethodStatSpecifier: { case: 'statsForAllMethods', value: { value: true } } })).toEqual(expect.arrayContaining([`envoy_cluster_grpc_request_message_count${labels} 2`, `envoy_cluster_grpc_response_message_count${labels} 2`, `envoy_cluster_grpc_total${labels} 1`, `envoy_cluster_grpc_failure${labels} 1`, `envoy_cluster_grpc_5${labels} 1`]));
    expect(count({}).join()).toContain('envoy_grpc_bridge_service="",envoy_grpc_bridge_method=""');
    const list = { perMethodStatSpecifier: { case: 'individualMethodStatsAllowlist' as const, value: { services: [{ name: 'pkg.a.S', methodNames: ['M'] }] } }, replaceDotsInGrpcServiceName: true, enableUpstreamStats: true };
    expect(count(list).join()).toContain('envoy_grpc_bridge_service="pkg_a_S"');
    expect(count(list).join()).toContain('envoy_cluster_grpc_upstream_rq_time_count');
    expect(count(list, '/pkg.a.S/Other').join()).toContain('envoy_grpc_bridge_service=""');
  });
});
