// The CORS filter.
export * from './gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
