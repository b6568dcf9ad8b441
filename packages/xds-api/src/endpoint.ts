// Cluster load assignments.
export * from './gen/envoy/config/endpoint/v3/endpoint_pb.js';
export * from './gen/envoy/config/endpoint/v3/endpoint_components_pb.js';
