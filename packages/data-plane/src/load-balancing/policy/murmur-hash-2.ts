// MurmurHash2, 64 bits, in the variant of libstdc++ with its seed: Envoy's other hash function for ring hash.
const mask = 0xffff_ffff_ffff_ffffn;
const multiplier = 0xc6a4_a793_5bd1_e995n;
const seed = 0xc70f_6907n;

const shiftMix = (value: bigint) => value ^ (value >> 47n);

export function murmurHash2(text: string): bigint {
  const bytes = Buffer.from(text);
  const { length } = bytes;
  const aligned = length - (length % 8);
  let hash = seed ^ ((BigInt(length) * multiplier) & mask);
  for (let i = 0; i < aligned; i += 8) {
    const data = (shiftMix((bytes.readBigUInt64LE(i) * multiplier) & mask) * multiplier) & mask;
    hash = ((hash ^ data) * multiplier) & mask;
  }
  if (aligned < length) {
    let rest = 0n;
    for (let i = length - 1; i >= aligned; i--) rest = (rest << 8n) | BigInt(bytes[i] as number);
    hash = ((hash ^ rest) * multiplier) & mask;
  }
  hash = (shiftMix(hash) * multiplier) & mask;
  return shiftMix(hash);
}
