// Hosts that a retry should not go to: omit_canary_hosts and omit_host_metadata (source/extensions/retry/host).
import { isDeepStrictEqual } from 'node:util';
import type { RetryPolicyConfig } from '../resource/route-config.js';
import type { Host } from '../upstream/host.js';

type Refuses = (host: Host) => boolean;

const known = new WeakMap<RetryPolicyConfig, Refuses | null>();

/** Undefined where the policy has no such predicate. */
export function refusesOnRetry(policy: RetryPolicyConfig): Refuses | undefined {
  let refuses = known.get(policy);
  if (refuses === undefined) known.set(policy, (refuses = compile(policy)));
  return refuses ?? undefined;
}

function compile({ omitCanaryHosts, omitHostMetadata = [] }: RetryPolicyConfig): Refuses | null {
  if (omitCanaryHosts !== true && omitHostMetadata.length === 0) return null;
  return ({ config }) => {
    const metadata = config.metadata['envoy.lb'];
    if (!metadata) return false;
    return (omitCanaryHosts === true && metadata['canary'] === true) || omitHostMetadata.some((labels) => hasAll(metadata, labels));
  };
}

/** A list in the host's metadata has each of its values. */
function hasAll(metadata: Readonly<Record<string, unknown>>, labels: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(labels).every(([name, wanted]) => {
    const value = metadata[name];
    return Array.isArray(value) ? value.some((item) => isDeepStrictEqual(item, wanted)) : isDeepStrictEqual(value, wanted);
  });
}
