import type { UpstreamFailure } from '../stream/response-head.js';

/** How an attempt ended, for outlier detection and load metrics. Neither status nor failure: cancelled by the caller. */
export interface AttemptOutcome {
  status?: number;
  grpcStatus?: number;
  /** The gRPC status came with the head (a response of only trailers): what Envoy's outlier detection judges by. */
  trailersOnly?: boolean;
  failure?: UpstreamFailure['kind'];
  durationMs: number;
}
