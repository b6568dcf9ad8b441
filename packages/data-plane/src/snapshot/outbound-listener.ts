// What one dialled name means: made complete, frozen, then swapped in with a single assignment.
import type { FilterChain } from '../filter/filter-chain.js';
import type { RouterConfig } from '../filter/http/router.js';
import type { PathNormalizationOptions } from '../inbound/path-normalization.js';
import type { UpgradesConfig } from '../resource/route-config.js';
import type { AuthorityOptions } from '../route/authority.js';
import type { HeaderMutation } from '../route/header-mutation.js';
import type { RouteTable } from '../route/route-table.js';
import type { DynamicClusters } from './dynamic-clusters.js';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';

export interface OutboundListenerSnapshot {
  /** The Listener's name. */
  readonly name: string;
  readonly routes: RouteTable;
  readonly filters: FilterChain;
  /** Every cluster the routes name and that exists; a missing one affects only the routes that use it (503, NC). */
  readonly clusters: ReadonlyMap<string, UpstreamCluster>;
  /** Why the others are not there, as far as it is known. */
  readonly missing?: ReadonlyMap<string, Error>;
  /** The router's own configuration; absent = its defaults. */
  readonly router?: RouterConfig;
  /** Those that only a request's header names. Absent: there are none. */
  readonly dynamic?: Pick<DynamicClusters, 'get' | 'error'>;
  readonly maxStreamDurationMs: number;
  /** For routes without an idle timeout of their own; 0 or absent = none. */
  readonly streamIdleTimeoutMs?: number;
  /** What paths are brought to before they are routed; absent: they stay as they are written. */
  readonly paths?: PathNormalizationOptions | undefined;
  readonly authority?: AuthorityOptions | undefined;
  /** Edits before the request is routed. */
  readonly earlyMutations?: readonly HeaderMutation[] | undefined;
  /** What requests may change to where their route does not say. */
  readonly upgrades?: UpgradesConfig | undefined;
}
