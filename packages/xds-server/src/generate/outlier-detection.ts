import type { OutlierDetectionSchema } from '@weft/xds-api/cluster';
import type { OutlierDetection } from '../model/traffic-policy.js';
import type { ProfileName } from './generator.js';
import { duration, type Init } from './message.js';

export function outlierDetection(profile: ProfileName, policy: OutlierDetection | undefined, warn: (reason: string) => void): Init<typeof OutlierDetectionSchema> | undefined {
  if (policy === undefined) return undefined;
  if (profile === 'grpc') {
    // gRFC A50 counts success rates and failure percentages only, which Istio's kind cannot ask for.
    warn('outlierDetection: gRPC clients do not eject on consecutive errors');
    return undefined;
  }
  const { consecutive5xx, consecutiveGatewayErrors, consecutiveLocalOriginFailures } = policy;
  return {
    ...(consecutive5xx === undefined ? {} : { consecutive5xx, enforcingConsecutive5xx: enforcing(consecutive5xx) }),
    ...(consecutiveGatewayErrors === undefined
      ? {}
      : { consecutiveGatewayFailure: consecutiveGatewayErrors, enforcingConsecutiveGatewayFailure: enforcing(consecutiveGatewayErrors) }),
    ...(policy.splitExternalLocalOriginErrors ? { splitExternalLocalOriginErrors: true } : {}),
    ...(policy.splitExternalLocalOriginErrors && consecutiveLocalOriginFailures !== undefined
      ? { consecutiveLocalOriginFailure: consecutiveLocalOriginFailures, enforcingConsecutiveLocalOriginFailure: enforcing(consecutiveLocalOriginFailures) }
      : {}),
    ...(policy.intervalMs === undefined ? {} : { interval: duration(policy.intervalMs) }),
    ...(policy.baseEjectionMs === undefined ? {} : { baseEjectionTime: duration(policy.baseEjectionMs) }),
    ...(policy.maxEjectionPercent === undefined ? {} : { maxEjectionPercent: policy.maxEjectionPercent }),
    // Envoy's success-rate ejection is on by default; Istio's kind does not have it.
    enforcingSuccessRate: 0,
    // With Envoy's 10 % of the hosts nothing is ever ejected among fewer than 10 (istio-envoy.md 7.6).
    ...(profile === 'weft' ? { alwaysEjectOneHost: true } : {}),
  };
}

/** A count of 0 turns a detector off. */
function enforcing(count: number): number {
  return count > 0 ? 100 : 0;
}

/** Envoy counts the host it would eject: of five hosts one is 20 %, more than its default of 10 % lets go. */
export function warnWhereInert({ maxEjectionPercent = 10 }: OutlierDetection, hosts: number, warn: (reason: string) => void): void {
  if (hosts > 0 && 100 / hosts > maxEjectionPercent) {
    warn(`outlierDetection: Envoy ejects none of ${hosts} endpoints with maxEjectionPercent ${maxEjectionPercent}; it needs ${Math.ceil(100 / hosts)} or more`);
  }
}
