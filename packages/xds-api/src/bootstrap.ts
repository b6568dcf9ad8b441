// Envoy's own bootstrap file.
export * from './gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
