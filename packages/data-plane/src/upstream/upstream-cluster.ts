// What the request path knows of a cluster. upstream/cluster.ts implements it.
import type { PickContext } from '../load-balancing/load-balancer.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { Host, HostCluster, RoutePriority } from './host.js';

export type { AttemptOutcome } from './attempt-outcome.js';
export type { HostCluster, RoutePriority } from './host.js';

export interface ChooseContext extends PickContext {
  priority: RoutePriority;
  /** As it is sent: whom a dynamic forward proxy goes to. */
  authority?: string;
  /** For a connection that carries bytes, which only max_connections limits. */
  connection?: boolean;
}

export interface UpstreamCluster extends HostCluster {
  /**
   * Chooses a host for one attempt: drops, then circuit breaker (max_requests), then the picker of the chosen priority.
   * A reply (503 with UH or UO, `x-envoy-overloaded` on overflow) means no attempt may be made.
   */
  choose(context: ChooseContext): Host | LocalReply;
  /** Absent in tests. */
  readonly hosts?: readonly Host[];
  /** Whether the hash of a request decides anything. Absent: it may. */
  readonly usesHash?: boolean;
  /** Takes a place among concurrent retries (max_retries or retry budget); false = overflow. Release with endRetry. */
  beginRetry(priority: RoutePriority): boolean;
  endRetry(priority: RoutePriority): void;
}
