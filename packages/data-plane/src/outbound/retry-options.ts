import type { RetryBudgetOptions } from './retry-budget.js';

/** Of a client, for all of its requests. */
export interface RetryOptions {
  /**
   * Whether a request may be retried (or hedged) that is made while an inbound request is served which is itself a retry (`x-envoy-attempt-count` above 1, or
   * `grpc-previous-rpc-attempts`). Default true, as in Envoy. `false`: it is sent once. Three hops that retry twice each send up to 27 requests to the last for one; then, 3 + 2.
   */
  ofRetries?: boolean;
  /** How many retries there may be for the requests of a cluster, over time, beside its circuit breakers. A retry that it refuses is not made (flag UO). Default: none. */
  budget?: RetryBudgetOptions;
}
