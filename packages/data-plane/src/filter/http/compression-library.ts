// The libraries that compressor and decompressor filters name.
import { constants } from 'node:zlib';
import { fromBinary } from '@weft/xds-api/protobuf';
import type { TypedExtensionConfig } from '@weft/xds-api/core';
import { BrotliCompressorSchema, BrotliDecompressorSchema, Brotli_EncoderMode, GzipCompressorSchema, GzipDecompressorSchema, Gzip_CompressionStrategy, ZstdCompressorSchema, ZstdDecompressorSchema } from '@weft/xds-api/filter-body';
import { join, knownFields, type Report } from '../../resource/report.js';
import { typeNameOf } from '../../resource/value.js';
import { compression, decompression, type Compression, type Decompression } from '../compression.js';

// What a chunk of output is long changes nothing but memory.
const gzipFields = knownFields(GzipCompressorSchema, ['memory_level', 'compression_level', 'compression_strategy', 'window_bits'], ['chunk_size']);
const brotliFields = knownFields(BrotliCompressorSchema, ['quality', 'encoder_mode', 'window_bits', 'input_block_bits', 'disable_literal_context_modeling'], ['chunk_size']);
const zstdFields = knownFields(ZstdCompressorSchema, ['compression_level', 'enable_checksum', 'strategy'], ['chunk_size']);
const gunzipFields = knownFields(GzipDecompressorSchema, ['window_bits', 'max_inflate_ratio'], ['chunk_size']);
const unbrotliFields = knownFields(BrotliDecompressorSchema, [], ['disable_ring_buffer_reallocation', 'chunk_size']);
const unzstdFields = knownFields(ZstdDecompressorSchema, [], ['chunk_size']);

/** Envoy's, for libraries without a field for it too. */
const defaultInflateRatio = 100;

export function decodeCompression(library: TypedExtensionConfig | undefined, path: string, report: Report): Compression | undefined {
  const config = library?.typedConfig;
  if (!config) return void report.add(path, 'is required');
  const at = join(path, 'typed_config');
  const within = (value: number | undefined, field: string, low: number, high: number) => {
    if (value !== undefined && (value < low || value > high)) report.add(join(at, field), `must be ${low} to ${high}, is ${value}`);
  };
  switch (typeNameOf(config)) {
    case GzipCompressorSchema.typeName: {
      const gzip = report.attempt(at, () => fromBinary(GzipCompressorSchema, config.value));
      if (!gzip) return undefined;
      report.check(gzipFields, gzip, at);
      within(gzip.memoryLevel, 'memory_level', 1, 9);
      within(gzip.compressionLevel, 'compression_level', 0, 9);
      within(gzip.windowBits, 'window_bits', 9, 15);
      const strategy = {
        [Gzip_CompressionStrategy.DEFAULT_STRATEGY]: constants.Z_DEFAULT_STRATEGY, [Gzip_CompressionStrategy.FILTERED]: constants.Z_FILTERED, [Gzip_CompressionStrategy.HUFFMAN_ONLY]: constants.Z_HUFFMAN_ONLY,
        [Gzip_CompressionStrategy.RLE]: constants.Z_RLE, [Gzip_CompressionStrategy.FIXED]: constants.Z_FIXED,
      }[gzip.compressionStrategy];
      if (strategy === undefined) report.add(join(at, 'compression_strategy'), `unknown value ${gzip.compressionStrategy}`);
      return compression('gzip', { level: gzip.compressionLevel === 0 ? constants.Z_DEFAULT_COMPRESSION : gzip.compressionLevel, memLevel: gzip.memoryLevel ?? 5, windowBits: gzip.windowBits ?? 12, strategy });
    }
    case BrotliCompressorSchema.typeName: {
      const brotli = report.attempt(at, () => fromBinary(BrotliCompressorSchema, config.value));
      if (!brotli) return undefined;
      report.check(brotliFields, brotli, at);
      within(brotli.quality, 'quality', 0, 11);
      within(brotli.windowBits, 'window_bits', 10, 24);
      within(brotli.inputBlockBits, 'input_block_bits', 16, 24);
      const mode = {
        [Brotli_EncoderMode.DEFAULT]: constants.BROTLI_DEFAULT_MODE, [Brotli_EncoderMode.GENERIC]: constants.BROTLI_MODE_GENERIC, [Brotli_EncoderMode.TEXT]: constants.BROTLI_MODE_TEXT, [Brotli_EncoderMode.FONT]: constants.BROTLI_MODE_FONT,
      }[brotli.encoderMode];
      if (mode === undefined) report.add(join(at, 'encoder_mode'), `unknown value ${brotli.encoderMode}`);
      return compression('br', {
        params: {
          [constants.BROTLI_PARAM_QUALITY]: brotli.quality ?? 3, [constants.BROTLI_PARAM_LGWIN]: brotli.windowBits ?? 18, [constants.BROTLI_PARAM_LGBLOCK]: brotli.inputBlockBits ?? 24,
          [constants.BROTLI_PARAM_MODE]: mode, [constants.BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING]: brotli.disableLiteralContextModeling,
        },
      });
    }
    case ZstdCompressorSchema.typeName: {
      const zstd = report.attempt(at, () => fromBinary(ZstdCompressorSchema, config.value));
      if (!zstd) return undefined;
      report.check(zstdFields, zstd, at);
      within(zstd.compressionLevel, 'compression_level', 0, 22);
      within(zstd.strategy, 'strategy', 0, 9);
      return compression('zstd', {
        params: {
          [constants.ZSTD_c_compressionLevel]: zstd.compressionLevel ?? constants.ZSTD_CLEVEL_DEFAULT, [constants.ZSTD_c_checksumFlag]: zstd.enableChecksum,
          ...(zstd.strategy !== 0 && { [constants.ZSTD_c_strategy]: zstd.strategy }),
        },
      });
    }
    default:
      return void report.add(at, `no compressor reads ${typeNameOf(config) || 'an empty type'}`);
  }
}

export function decodeDecompression(library: TypedExtensionConfig | undefined, path: string, report: Report): Decompression | undefined {
  const config = library?.typedConfig;
  if (!config) return void report.add(path, 'is required');
  const at = join(path, 'typed_config');
  switch (typeNameOf(config)) {
    case GzipDecompressorSchema.typeName: {
      const gzip = report.attempt(at, () => fromBinary(GzipDecompressorSchema, config.value));
      if (!gzip) return undefined;
      report.check(gunzipFields, gzip, at);
      const { windowBits = 15, maxInflateRatio = defaultInflateRatio } = gzip;
      if (windowBits < 9 || windowBits > 15) report.add(join(at, 'window_bits'), `must be 9 to 15, is ${windowBits}`);
      if (maxInflateRatio < 1 || maxInflateRatio > 1032) report.add(join(at, 'max_inflate_ratio'), `must be 1 to 1032, is ${maxInflateRatio}`);
      return decompression('gzip', maxInflateRatio, { windowBits });
    }
    case BrotliDecompressorSchema.typeName: {
      const brotli = report.attempt(at, () => fromBinary(BrotliDecompressorSchema, config.value));
      if (brotli) report.check(unbrotliFields, brotli, at);
      return decompression('br', defaultInflateRatio);
    }
    case ZstdDecompressorSchema.typeName: {
      const zstd = report.attempt(at, () => fromBinary(ZstdDecompressorSchema, config.value));
      if (zstd) report.check(unzstdFields, zstd, at);
      return decompression('zstd', defaultInflateRatio);
    }
    default:
      return void report.add(at, `no decompressor reads ${typeNameOf(config) || 'an empty type'}`);
  }
}
