// MT19937 with 32-bit words: what Envoy shuffles hosts with when a host is too busy for its keys. Any other generator would send the
// same key to other hosts.
const words = 624;
const middle = 397;

/** Uniform in [0, 2^32); the same numbers for the same seed, of which the lower 32 bits count. */
export function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(words);
  state[0] = seed;
  for (let i = 1; i < words; i++) {
    const last = (state[i - 1] as number) ^ ((state[i - 1] as number) >>> 30);
    state[i] = Math.imul(1_812_433_253, last) + i;
  }
  let at = words;
  return () => {
    if (at === words) {
      twist(state);
      at = 0;
    }
    let word = state[at++] as number;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c_5680;
    word ^= (word << 15) & 0xefc6_0000;
    return (word ^ (word >>> 18)) >>> 0;
  };
}

function twist(state: Uint32Array): void {
  for (let i = 0; i < words; i++) {
    const joined = ((state[i] as number) & 0x8000_0000) | ((state[(i + 1) % words] as number) & 0x7fff_ffff);
    state[i] = (state[(i + middle) % words] as number) ^ (joined >>> 1) ^ (joined & 1 ? 0x9908_b0df : 0);
  }
}
