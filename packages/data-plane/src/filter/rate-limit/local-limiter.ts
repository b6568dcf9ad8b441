// The token buckets of one local rate limit: a default one, and one for each descriptor.
import { TokenBucket, type TokenBucketConfig } from '../token-bucket.js';
import type { Descriptor, DescriptorEntry } from './descriptors.js';

export interface LocalDescriptorConfig {
  /** An empty value stands for any, each with a bucket of its own. */
  entries: readonly DescriptorEntry[];
  bucket: TokenBucketConfig;
}

export interface LocalLimiterConfig {
  bucket?: TokenBucketConfig;
  descriptors: readonly LocalDescriptorConfig[];
  /** Whether requests with a descriptor take from the default bucket, too. */
  alwaysConsumeDefault: boolean;
  /** Buckets of one wildcard descriptor; the one not used for longest makes place. */
  maxDynamicDescriptors: number;
}

export interface LocalVerdict {
  readonly allowed: boolean;
  /** The bucket that the answer's headers tell of. */
  readonly bucket: TokenBucket | undefined;
}

interface WildcardDescriptor {
  readonly entries: readonly DescriptorEntry[];
  readonly config: TokenBucketConfig;
  /** In order of use. */
  readonly buckets: Map<string, TokenBucket>;
}

export class LocalLimiter {
  readonly #config: LocalLimiterConfig;
  readonly #now: () => number;
  readonly #default: TokenBucket | undefined;
  readonly #fixed = new Map<string, TokenBucket>();
  readonly #wildcards: readonly WildcardDescriptor[];

  constructor(config: LocalLimiterConfig, now: () => number) {
    this.#config = config;
    this.#now = now;
    this.#default = config.bucket && new TokenBucket(config.bucket, now);
    for (const { entries, bucket } of config.descriptors) if (!isWildcard(entries)) this.#fixed.set(keyOf(entries), new TokenBucket(bucket, now));
    this.#wildcards = config.descriptors.filter(({ entries }) => isWildcard(entries)).map(({ entries, bucket }) => ({ entries, config: bucket, buckets: new Map() }));
  }

  take(descriptors: readonly Descriptor[]): LocalVerdict {
    const matched = descriptors.flatMap(({ entries, hits = 1 }) => {
      const bucket = this.#bucketOf(entries);
      return bucket ? [{ bucket, hits }] : [];
    });
    // The strictest first: what is refused anyway should not take from the others.
    if (matched.length > 1) matched.sort((a, b) => a.bucket.fillRate - b.bucket.fillRate);
    for (const { bucket, hits } of matched) if (!bucket.consume(hits)) return { allowed: false, bucket };
    const first = matched[0]?.bucket;
    if (first && !this.#config.alwaysConsumeDefault) return { allowed: true, bucket: first };
    const bucket = this.#default;
    if (bucket && !bucket.consume()) return { allowed: false, bucket };
    return { allowed: true, bucket: first ?? bucket };
  }

  #bucketOf(entries: readonly DescriptorEntry[]): TokenBucket | undefined {
    if (this.#config.descriptors.length === 0) return undefined;
    const key = keyOf(entries);
    const fixed = this.#fixed.get(key);
    if (fixed) return fixed;
    const wildcard = this.#wildcards.find((candidate) => matches(candidate.entries, entries));
    if (!wildcard) return undefined;
    const { buckets, config } = wildcard;
    const bucket = buckets.get(key) ?? new TokenBucket(config, this.#now);
    buckets.delete(key);
    buckets.set(key, bucket);
    if (buckets.size > this.#config.maxDynamicDescriptors) buckets.delete(buckets.keys().next().value as string);
    return bucket;
  }
}

export function keyOf(entries: readonly DescriptorEntry[]): string {
  return JSON.stringify(entries.map(({ key, value }) => [key, value]));
}

function isWildcard(entries: readonly DescriptorEntry[]): boolean {
  return entries.some(({ value }) => value === '');
}

function matches(wanted: readonly DescriptorEntry[], entries: readonly DescriptorEntry[]): boolean {
  return wanted.length === entries.length && wanted.every(({ key, value }, i) => key === entries[i]?.key && (value === '' || value === entries[i]?.value));
}
