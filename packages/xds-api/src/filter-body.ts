// The filters that see bodies, and the libraries they compress with.
export * from './gen/envoy/extensions/filters/http/buffer/v3/buffer_pb.js';
export * from './gen/envoy/extensions/filters/http/bandwidth_limit/v3/bandwidth_limit_pb.js';
export * from './gen/envoy/extensions/filters/http/compressor/v3/compressor_pb.js';
export * from './gen/envoy/extensions/filters/http/decompressor/v3/decompressor_pb.js';
export { FilterConfigSchema as GrpcStatsSchema, type FilterConfig as GrpcStats } from './gen/envoy/extensions/filters/http/grpc_stats/v3/config_pb.js';
export * from './gen/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.js';
export * from './gen/envoy/extensions/filters/http/tap/v3/tap_pb.js';
export * from './gen/envoy/extensions/common/tap/v3/common_pb.js';
export * from './gen/envoy/config/tap/v3/common_pb.js';
export { MatchPredicateSchema as CommonMatchPredicateSchema, type MatchPredicate as CommonMatchPredicate, HttpHeadersMatchSchema as CommonHttpHeadersMatchSchema, MatchPredicate_MatchSetSchema as CommonMatchSetSchema } from './gen/envoy/config/common/matcher/v3/matcher_pb.js';
export { GzipSchema as GzipCompressorSchema, Gzip_CompressionStrategy, type Gzip as GzipCompressor } from './gen/envoy/extensions/compression/gzip/compressor/v3/gzip_pb.js';
export { BrotliSchema as BrotliCompressorSchema, Brotli_EncoderMode, type Brotli as BrotliCompressor } from './gen/envoy/extensions/compression/brotli/compressor/v3/brotli_pb.js';
export { ZstdSchema as ZstdCompressorSchema, type Zstd as ZstdCompressor } from './gen/envoy/extensions/compression/zstd/compressor/v3/zstd_pb.js';
export { GzipSchema as GzipDecompressorSchema, type Gzip as GzipDecompressor } from './gen/envoy/extensions/compression/gzip/decompressor/v3/gzip_pb.js';
export { BrotliSchema as BrotliDecompressorSchema } from './gen/envoy/extensions/compression/brotli/decompressor/v3/brotli_pb.js';
export { ZstdSchema as ZstdDecompressorSchema } from './gen/envoy/extensions/compression/zstd/decompressor/v3/zstd_pb.js';
export * from './gen/envoy/config/core/v3/grpc_method_list_pb.js';
