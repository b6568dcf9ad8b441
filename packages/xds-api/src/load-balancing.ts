// Load-balancing policies.
export * from './gen/envoy/extensions/load_balancing_policies/common/v3/common_pb.js';
export * from './gen/envoy/extensions/load_balancing_policies/round_robin/v3/round_robin_pb.js';
export * from './gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.js';
export * from './gen/envoy/extensions/load_balancing_policies/random/v3/random_pb.js';
export * from './gen/envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash_pb.js';
export * from './gen/envoy/extensions/load_balancing_policies/maglev/v3/maglev_pb.js';
export * from './gen/envoy/extensions/load_balancing_policies/pick_first/v3/pick_first_pb.js';
export * from './gen/envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality_pb.js';
export * from './gen/envoy/extensions/load_balancing_policies/client_side_weighted_round_robin/v3/client_side_weighted_round_robin_pb.js';
export * from './gen/envoy/extensions/load_balancing_policies/subset/v3/subset_pb.js';
export * from './gen/envoy/extensions/load_balancing_policies/override_host/v3/override_host_pb.js';
export { PeakEwmaSchema as EnvoyPeakEwmaSchema } from './gen/envoy/extensions/load_balancing_policies/peak_ewma/v3/peak_ewma_pb.js';
export { PeakEwmaSchema as EnvoyAlphaPeakEwmaSchema } from './gen/envoy/extensions/load_balancing_policies/peak_ewma/v3alpha/peak_ewma_pb.js';
export * from './gen/weft/load_balancing/v1/peak_ewma_pb.js';
