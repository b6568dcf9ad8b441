// The discovery protocol.
export * from './gen/envoy/service/discovery/v3/discovery_pb.js';
export * from './gen/envoy/service/discovery/v3/ads_pb.js';
export * from './gen/google/rpc/status_pb.js';
