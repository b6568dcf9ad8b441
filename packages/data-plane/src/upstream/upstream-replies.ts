// What Envoy's router answers where no attempt can be made.
import type { LocalReply } from '../stream/local-reply.js';

/** A circuit breaker is open. `x-envoy-overloaded` keeps clients from retrying. */
export function overflow(): LocalReply {
  return {
    status: 503,
    body: 'upstream connect error or disconnect/reset before headers. reset reason: overflow',
    headers: [['x-envoy-overloaded', 'true']],
    flag: 'UO',
    details: 'upstream_reset_before_response_started{overflow}',
  };
}

/** @param why no host could be chosen: Envoy's body alone leaves everybody guessing. */
export function noHealthyUpstream(why: string): LocalReply {
  return { status: 503, body: `no healthy upstream: ${why}`, flag: 'UH', details: 'no_healthy_upstream' };
}

/** The control plane asked for a share of the requests to be dropped (ClusterLoadAssignment.policy.drop_overloads). */
export function dropOverload(category: string): LocalReply {
  return { status: 503, body: 'drop overload', headers: [['x-envoy-unconditional-drop-overload', 'true']], flag: 'DO', details: `drop_overload{${category}}` };
}
