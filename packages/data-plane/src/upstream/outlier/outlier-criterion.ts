// One reason to eject a host. Each is a file here and a line in outlier-detector.ts.
import type { Host } from '../host.js';

/** One attempt as outlier detection sees it. */
export interface AttemptResult {
  /** HTTP status, for gRPC mapped from its status; for local errors 503 or 504. */
  status: number;
  /** The host did not answer: connection failure, reset, timeout. */
  localOrigin: boolean;
}

export interface OutlierCriterion {
  readonly name: string;
  /** 0 to 100: the probability that a host found here is really ejected. */
  readonly enforcing: number;
  /** True: eject this host now. */
  onResult(host: Host, result: AttemptResult): boolean;
  /** Hosts to eject now that an interval is over; counters start anew. `hosts` are those not ejected. */
  onInterval?(hosts: readonly Host[]): readonly Host[];
  /** The host was let back: forget what was counted. */
  reset(host: Host): void;
}
