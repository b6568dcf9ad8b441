// Rate limiting: the local filter, the filter over a rate limit service, and that service. Several of them call their messages RateLimit.
export * from './gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js';
export {
  RateLimitSchema as RateLimitFilterSchema,
  RateLimitPerRouteSchema,
  RateLimitPerRoute_VhRateLimitsOptions,
  RateLimitPerRoute_OverrideOptions,
  RateLimit_XRateLimitHeadersRFCVersion,
  type RateLimit as RateLimitFilter,
  type RateLimitPerRoute,
} from './gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.js';
export * from './gen/envoy/extensions/common/ratelimit/v3/ratelimit_pb.js';
export * from './gen/envoy/config/ratelimit/v3/rls_pb.js';
export * from './gen/envoy/service/ratelimit/v3/rls_pb.js';
export * from './gen/envoy/type/v3/ratelimit_unit_pb.js';
export * from './gen/envoy/type/v3/token_bucket_pb.js';
export * from './gen/envoy/type/v3/http_status_pb.js';
export * from './gen/envoy/type/metadata/v3/metadata_pb.js';
