// XXH64, seed 0 unless given: what Envoy and gRPC hash requests and hosts with. The WebAssembly build loads asynchronously;
// until it is there, a plain implementation gives the same numbers at a hundred times the cost.
import xxhash from 'xxhash-wasm';

const mask = 0xffff_ffff_ffff_ffffn;
const p1 = 0x9e37_79b1_85eb_ca87n;
const p2 = 0xc2b2_ae3d_27d4_eb4fn;
const p3 = 0x1656_67b1_9e37_79f9n;
const p4 = 0x85eb_ca77_c2b2_ae63n;
const p5 = 0x27d4_eb2f_1656_67c5n;

let native: ((input: string, seed?: bigint) => bigint) | undefined;
let loading: Promise<void> | undefined;

/** Loads the fast implementation. Whoever builds a ring or hashes requests calls it early; no need to wait for it. */
export function loadXxh64(): Promise<void> {
  return (loading ??= xxhash().then(({ h64 }) => void (native = h64), () => undefined));
}

export function xxh64(input: string, seed = 0n): bigint {
  return native ? native(input, seed) : plainXxh64(new TextEncoder().encode(input), seed);
}

const rotl = (value: bigint, bits: bigint) => ((value << bits) | (value >> (64n - bits))) & mask;
const round = (acc: bigint, lane: bigint) => (rotl((acc + lane * p2) & mask, 31n) * p1) & mask;

/** Exported for its test against the WebAssembly build. */
export function plainXxh64(bytes: Uint8Array, seed = 0n): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { length } = bytes;
  let at = 0;
  let hash: bigint;
  if (length >= 32) {
    const lanes = [seed + p1 + p2, seed + p2, seed, seed - p1].map((lane) => lane & mask);
    for (; at + 32 <= length; at += 32) for (let i = 0; i < 4; i++) lanes[i] = round(lanes[i] as bigint, view.getBigUint64(at + 8 * i, true));
    const [a = 0n, b = 0n, c = 0n, d = 0n] = lanes;
    hash = (rotl(a, 1n) + rotl(b, 7n) + rotl(c, 12n) + rotl(d, 18n)) & mask;
    for (const lane of lanes) hash = ((hash ^ round(0n, lane)) * p1 + p4) & mask;
  } else hash = (seed + p5) & mask;
  hash = (hash + BigInt(length)) & mask;
  for (; at + 8 <= length; at += 8) hash = (rotl(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * p1 + p4) & mask;
  if (at + 4 <= length) {
    hash = (rotl(hash ^ ((BigInt(view.getUint32(at, true)) * p1) & mask), 23n) * p2 + p3) & mask;
    at += 4;
  }
  for (; at < length; at++) hash = (rotl(hash ^ ((BigInt(bytes[at] as number) * p5) & mask), 11n) * p1) & mask;
  hash = ((hash ^ (hash >> 33n)) * p2) & mask;
  hash = ((hash ^ (hash >> 29n)) * p3) & mask;
  return hash ^ (hash >> 32n);
}
