// Filters that judge, answer or change by headers alone.
export { CsrfPolicySchema, type CsrfPolicy } from './gen/envoy/extensions/filters/http/csrf/v3/csrf_pb.js';
export { HealthCheckSchema, type HealthCheck } from './gen/envoy/extensions/filters/http/health_check/v3/health_check_pb.js';
export {
  HeaderMutationSchema as HeaderMutationFilterSchema,
  HeaderMutationPerRouteSchema,
  MutationsSchema,
  type HeaderMutation as HeaderMutationFilter,
  type HeaderMutationPerRoute,
  type Mutations,
} from './gen/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.js';
export { HeaderMutation_RemoveOnMatchSchema, HeaderMutationSchema, type HeaderMutation } from './gen/envoy/config/common/mutation_rules/v3/mutation_rules_pb.js';
export { ConfigSchema as SetMetadataSchema, MetadataSchema as SetMetadata_MetadataSchema, type Config as SetMetadata } from './gen/envoy/extensions/filters/http/set_metadata/v3/set_metadata_pb.js';
export {
  ConfigSchema as HeaderToMetadataSchema,
  Config_KeyValuePairSchema,
  Config_RuleSchema,
  Config_ValueEncode,
  Config_ValueType,
  type Config as HeaderToMetadata,
  type Config_KeyValuePair,
  type Config_Rule,
} from './gen/envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata_pb.js';
