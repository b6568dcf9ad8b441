// What stands around a cluster's load-balancing policy, decoded: zones, subsets, hosts that requests name.

export interface ZoneAwareConfig {
  /** Percent of the requests. */
  routingEnabled: number;
  minClusterSize: number;
  /** No host rather than any host where too few are usable. */
  failTrafficOnPanic: boolean;
  /** All to the own zone where it has at least so many hosts, whatever the others have. */
  forceLocalMinSize?: number;
  /** Zones are compared by the weights of their hosts instead of their number. */
  byWeight?: boolean;
}

export type SubsetFallback = 'no-fallback' | 'any-endpoint' | 'default-subset';

export interface SubsetSelectorConfig {
  /** Sorted. */
  readonly keys: readonly string[];
  /** Undefined: the cluster's. */
  readonly fallback?: SubsetFallback | 'keys-subset' | undefined;
  /** For keys-subset: some of `keys`. */
  readonly fallbackKeys: readonly string[];
  readonly singleHost: boolean;
}

export interface SubsetConfig {
  readonly fallback: SubsetFallback;
  readonly defaultSubset: Readonly<Record<string, unknown>>;
  readonly selectors: readonly SubsetSelectorConfig[];
  readonly localityWeightAware: boolean;
  readonly scaleLocalityWeight: boolean;
  /** Where the fallback finds nobody, any host will do. */
  readonly panicModeAny: boolean;
  /** A host whose value is a list is in the subset of each of its items. */
  readonly listAsAny: boolean;
  /** `fallback_list` in the route's metadata holds other values to try in turn. */
  readonly metadataFallback: boolean;
  /** Keys of the route's metadata that no selector has are left aside. */
  readonly allowRedundantKeys: boolean;
}

export type OverrideHostSource =
  | { readonly kind: 'header'; readonly name: string }
  /** Dynamic metadata. */
  | { readonly kind: 'metadata'; readonly key: string; readonly path: readonly string[] };
