// Filters that let fewer requests through when the other side cannot do more.
export * from './gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.js';
export * from './gen/envoy/extensions/filters/http/admission_control/v3/admission_control_pb.js';
export * from './gen/weft/filters/http/v1/breakers_pb.js';
