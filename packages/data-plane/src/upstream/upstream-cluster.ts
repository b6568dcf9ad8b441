// What the request path knows of a cluster. upstream/cluster.ts implements it.
import type { LoadTracker, PickContext } from '../load-balancing/load-balancer.js';
import type { ClusterConfig } from '../resource/cluster-config.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { AttemptOutcome } from './attempt-outcome.js';
import type { Host } from './host.js';

export type { AttemptOutcome } from './attempt-outcome.js';

export type RoutePriority = 'default' | 'high';

export interface UpstreamCluster {
  readonly name: string;
  readonly config: ClusterConfig;
  /** Where the load-balancing policy learns from attempts: told of each of them. */
  readonly tracker?: LoadTracker | undefined;
  /**
   * Chooses a host for one attempt: drops, then circuit breaker (max_requests), then the picker of the chosen priority.
   * A reply (503 with UH or UO, `x-envoy-overloaded` on overflow) means no attempt may be made.
   */
  choose(context: PickContext & { priority: RoutePriority }): Host | LocalReply;
  /** An attempt starts on this host. Every begin is followed by exactly one end. */
  begin(host: Host, priority: RoutePriority): void;
  end(host: Host, priority: RoutePriority, outcome: AttemptOutcome): void;
  /** Takes a place among concurrent retries (max_retries or retry budget); false = overflow. Release with endRetry. */
  beginRetry(priority: RoutePriority): boolean;
  endRetry(priority: RoutePriority): void;
}
