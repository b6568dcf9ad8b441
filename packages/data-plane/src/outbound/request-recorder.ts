import type { HeaderEdits } from '../route/header-mutation.js';
import type { RouteObserver, SelectedRoute } from '../route/route-table.js';
import type { RetryState } from './retry-state.js';
import type { Timeouts } from './timeouts.js';

/** Is told what one request meets on its way, for `weft explain`. Live requests have none, and pay nothing for it. */
export interface RequestRecorder extends RouteObserver {
  readonly requestEdits: HeaderEdits;
  readonly responseEdits: HeaderEdits;
  /** What a filter said; told as soon as it is asked, and again with its answer where it had to wait. */
  readonly verdict: (filter: string, verdict: string) => void;
  routed(route: SelectedRoute): void;
  forwarding(plan: { readonly timeouts: Timeouts; readonly retry: RetryState | undefined; readonly hash: bigint | undefined }): void;
}
