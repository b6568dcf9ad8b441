// TLS contexts and secrets, and the other transport sockets.
export * from './gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
export * from './gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
export * from './gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
export * from './gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js';
export * from './gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js';
