// Policies around another policy: they say among which hosts it chooses. In a cluster they become settings of the pickers around it.
import type { DescMessage } from '@weft/xds-api/protobuf';
import type { Any } from '@weft/xds-api/protobuf/wkt';
import { OverrideHostSchema, SubsetSchema, WrrLocalitySchema, type OverrideHost_OverrideHostSource } from '@weft/xds-api/load-balancing';
import { knownFields, Report } from '../resource/report.js';
import { unwrapTypedStruct, type MessageLookup } from '../resource/typed-struct.js';
import type { LoadBalancingConfig } from '../resource/cluster-config.js';
import type { OverrideHostSource, SubsetConfig, ZoneAwareConfig } from '../resource/balancing-config.js';
import { readMessage } from './policy/read-message.js';
import { subsetConfig } from './subset-config.js';

export interface ResolvedLoadBalancing {
  loadBalancing: LoadBalancingConfig;
  /** The policy asks for locality weights (wrr_locality, or its locality_lb_config). */
  localityWeighted: boolean;
  zoneAware?: ZoneAwareConfig;
  subsets?: SubsetConfig;
  overrideHosts?: readonly OverrideHostSource[];
}

export interface PolicyMessage {
  typeUrl: string;
  value: Uint8Array;
}

export type Policies = { readonly policies: readonly { readonly typedExtensionConfig?: { readonly typedConfig?: Any | undefined } | undefined }[] } | undefined;

/** @param child resolves the policy inside. */
type Wrapper = (value: Uint8Array, child: (policies: Policies) => ResolvedLoadBalancing) => ResolvedLoadBalancing;

/** For their TypedStructs. */
export const wrappingMessages: readonly DescMessage[] = [WrrLocalitySchema, SubsetSchema, OverrideHostSchema];

const wrrFields = knownFields(WrrLocalitySchema, ['endpoint_picking_policy']);
const subsetFields = knownFields(SubsetSchema, ['fallback_policy', 'default_subset', 'subset_selectors', 'allow_redundant_keys', 'locality_weight_aware', 'scale_locality_weight', 'panic_mode_any', 'list_as_any', 'metadata_fallback_policy', 'subset_lb_policy']);
const overrideFields = knownFields(OverrideHostSchema, ['override_host_sources', 'fallback_policy']);

/** By type URL. */
export const wrappingPolicies: Readonly<Record<string, Wrapper>> = {
  'type.googleapis.com/envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality': (value, child) => ({
    ...child(readMessage(WrrLocalitySchema, wrrFields, value).endpointPickingPolicy),
    localityWeighted: true,
  }),
  'type.googleapis.com/envoy.extensions.load_balancing_policies.subset.v3.Subset'(value, child) {
    const message = readMessage(SubsetSchema, subsetFields, value);
    if (!message.subsetLbPolicy) throw new Error('subset_lb_policy is required');
    const inner = child(message.subsetLbPolicy);
    if (inner.subsets) throw new Error('a subset policy inside of a subset policy is not supported');
    const subsets = subsetConfig(message);
    return { ...inner, ...(subsets && { subsets }) };
  },
  'type.googleapis.com/envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost'(value, child) {
    const message = readMessage(OverrideHostSchema, overrideFields, value);
    if (message.overrideHostSources.length === 0) throw new Error('override_host_sources must not be empty');
    if (!message.fallbackPolicy) throw new Error('fallback_policy is required');
    return { ...child(message.fallbackPolicy), overrideHosts: message.overrideHostSources.map(sourceOf) };
  },
};

export function messagesOf(policy: Policies, messages: MessageLookup): PolicyMessage[] {
  const report = new Report();
  const found = policy?.policies.flatMap(({ typedExtensionConfig: config }) => (config?.typedConfig && unwrapTypedStruct(config.typedConfig, 'typed_config', messages, report)) ?? []) ?? [];
  report.finish('the policy inside');
  return found;
}

function sourceOf({ header, metadata }: OverrideHost_OverrideHostSource): OverrideHostSource {
  if ((header === '') === (metadata === undefined)) throw new Error('an override_host_source has either header or metadata');
  if (!metadata) return { kind: 'header', name: header.toLowerCase() };
  return { kind: 'metadata', key: metadata.key, path: metadata.path.map(({ segment }) => String(segment.value ?? '')) };
}
