// The fault injection filter.
export * from './gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
export * from './gen/envoy/extensions/filters/common/fault/v3/fault_pb.js';
