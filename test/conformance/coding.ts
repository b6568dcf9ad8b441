import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { Coding } from './conformance-case.js';

export function encode(text: string, coding: Coding | undefined): Buffer {
  const bytes = Buffer.from(text);
  return coding ? { gzip: gzipSync, br: brotliCompressSync, zstd: zstdCompressSync }[coding](bytes) : bytes;
}

export function decode(bytes: Buffer, coding: Coding | undefined): string {
  return (coding ? { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync }[coding](bytes) : bytes).toString();
}
