// Listeners and their filter chains.
export * from './gen/envoy/config/listener/v3/listener_pb.js';
export * from './gen/envoy/config/listener/v3/listener_components_pb.js';
export * from './gen/envoy/config/listener/v3/api_listener_pb.js';
export * from './gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
export * from './gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.js';
