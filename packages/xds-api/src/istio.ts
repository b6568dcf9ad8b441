// Istio's certificate service and health message.
export * from './gen/istio/v1/auth/ca_pb.js';
export * from './gen/istio/v1/health_pb.js';
