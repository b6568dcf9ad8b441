// Consistent hashing is configured at the destination but computed from the request, so its key belongs to the route.
import type { RouteAction_HashPolicySchema } from '@weft/xds-api/route';
import type { Destination } from '../model/route-rule.js';
import type { LoadBalancer } from '../model/traffic-policy.js';
import type { GenerateContext, ProfileName } from './generator.js';
import { duration, type Init } from './message.js';
import { visibleService } from './outbound-target.js';
import { effectivePolicy } from './traffic-policy.js';

type HashPolicyInit = Init<typeof RouteAction_HashPolicySchema>;
type ConsistentHash = NonNullable<LoadBalancer['consistentHash']>;

/** The hash policies of all destinations, in order, each once. */
export function hashPolicies(
  context: GenerateContext,
  profile: ProfileName,
  destinations: readonly Destination[],
  dialledPort: number,
  warn: (reason: string) => void,
): HashPolicyInit[] {
  const found = new Map<string, HashPolicyInit>();
  for (const destination of destinations) {
    const hash = consistentHash(context, destination, dialledPort);
    if (hash === undefined) continue;
    if (profile === 'grpc' && hash.header === undefined) {
      warn(`consistentHash of ${destination.host}: gRPC hashes only headers, so calls pick at random`);
      continue;
    }
    const key = JSON.stringify([hash.header, hash.cookie, hash.sourceIp, hash.queryParameter]);
    const policy = hashPolicy(hash);
    if (policy) found.set(key, policy);
  }
  return [...found.values()];
}

export function consistentHash(context: GenerateContext, destination: Destination, dialledPort: number): ConsistentHash | undefined {
  const service = visibleService(context, destination.host);
  if (service === undefined) return undefined;
  return effectivePolicy(context, service, destination.subset, destination.port ?? dialledPort).loadBalancer?.consistentHash;
}

function hashPolicy({ header, cookie, sourceIp, queryParameter }: ConsistentHash): HashPolicyInit | undefined {
  if (header !== undefined) return { policySpecifier: { case: 'header', value: { headerName: header } } };
  if (cookie) {
    const { name, path, ttlMs, attributes } = cookie;
    return { policySpecifier: { case: 'cookie', value: { name, path, ...(ttlMs === undefined ? {} : { ttl: duration(ttlMs) }), attributes: attributes.map((attribute) => ({ ...attribute })) } } };
  }
  if (sourceIp) return { policySpecifier: { case: 'connectionProperties', value: { sourceIp: true } } };
  if (queryParameter !== undefined) return { policySpecifier: { case: 'queryParameter', value: { name: queryParameter } } };
  return undefined;
}
