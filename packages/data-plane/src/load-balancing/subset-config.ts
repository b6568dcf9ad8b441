import type { JsonObject } from '@weft/xds-api/protobuf';
import type { SubsetConfig, SubsetFallback, SubsetSelectorConfig } from '../resource/balancing-config.js';

/** lb_subset_config of a cluster and the subset policy have these fields and numbers. */
export interface SubsetMessage {
  fallbackPolicy: number;
  defaultSubset?: JsonObject | undefined;
  subsetSelectors: readonly { keys: readonly string[]; singleHostPerSubset: boolean; fallbackPolicy: number; fallbackKeysSubset: readonly string[] }[];
  allowRedundantKeys?: boolean;
  localityWeightAware: boolean;
  scaleLocalityWeight: boolean;
  panicModeAny: boolean;
  listAsAny: boolean;
  metadataFallbackPolicy: number;
}

const fallbacks: readonly SubsetFallback[] = ['no-fallback', 'any-endpoint', 'default-subset'];
const selectorFallbacks: readonly SubsetSelectorConfig['fallback'][] = [undefined, 'no-fallback', 'any-endpoint', 'default-subset', 'keys-subset'];

/** Undefined where there are no selectors: Envoy then balances over all hosts. Throws where a value is invalid. */
export function subsetConfig(message: SubsetMessage): SubsetConfig | undefined {
  const fallback = fallbacks[message.fallbackPolicy];
  if (fallback === undefined) throw new Error(`fallback_policy ${message.fallbackPolicy} is not known`);
  if (message.metadataFallbackPolicy > 1) throw new Error(`metadata_fallback_policy ${message.metadataFallbackPolicy} is not known`);
  if (message.subsetSelectors.length === 0) return undefined;
  return {
    fallback,
    defaultSubset: message.defaultSubset ?? {},
    selectors: message.subsetSelectors.map((selector, i) => selectorOf(selector, `subset_selectors[${i}]`)),
    localityWeightAware: message.localityWeightAware,
    scaleLocalityWeight: message.scaleLocalityWeight,
    panicModeAny: message.panicModeAny,
    listAsAny: message.listAsAny,
    metadataFallback: message.metadataFallbackPolicy === 1,
    allowRedundantKeys: message.allowRedundantKeys === true,
  };
}

function selectorOf({ keys: given, singleHostPerSubset, fallbackPolicy, fallbackKeysSubset }: SubsetMessage['subsetSelectors'][number], path: string): SubsetSelectorConfig {
  if (!(fallbackPolicy in selectorFallbacks)) throw new Error(`${path}.fallback_policy ${fallbackPolicy} is not known`);
  const keys = [...new Set(given)].sort();
  const fallback = selectorFallbacks[fallbackPolicy];
  const fallbackKeys = [...new Set(fallbackKeysSubset)];
  if (singleHostPerSubset && keys.length !== 1) throw new Error(`${path}.single_host_per_subset needs exactly one key`);
  if (fallback === 'keys-subset') {
    if (fallbackKeys.length === 0) throw new Error(`${path}.fallback_keys_subset must not be empty with KEYS_SUBSET`);
    if (!fallbackKeys.every((key) => keys.includes(key))) throw new Error(`${path}.fallback_keys_subset must be a subset of keys`);
    if (fallbackKeys.length === keys.length) throw new Error(`${path}.fallback_keys_subset must not be equal to keys`);
  } else if (fallbackKeys.length > 0) throw new Error(`${path}.fallback_keys_subset is only for KEYS_SUBSET`);
  return { keys, fallback, fallbackKeys, singleHost: singleHostPerSubset };
}
