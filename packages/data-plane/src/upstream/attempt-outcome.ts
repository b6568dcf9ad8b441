import type { UpstreamFailure } from '../stream/response-head.js';

/** How an attempt ended, for outlier detection and load metrics. Neither status nor failure: cancelled by the caller. */
export interface AttemptOutcome {
  status?: number;
  grpcStatus?: number;
  failure?: UpstreamFailure['kind'];
  durationMs: number;
}
