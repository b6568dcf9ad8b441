// What applications extend Weft with, and what they see of it. Everything else is reached through @weft/client and @weft/server.
export { MeshError, type MeshErrorCode } from './errors.js';
export type { RuntimeOptions } from './runtime-options.js';
export type { FilterContext, FilterResult, FilterRouteInfo, HttpFilter, HttpFilterFactory, StreamFilter } from './filter/http-filter.js';
export { ClusterCallError, type ClusterCallOptions, type ClusterCalls, type ClusterRequest, type ClusterResponse } from './filter/cluster-calls.js';
export type { RateLimitActionConfig, RateLimitConfig, RouteRateLimits } from './resource/rate-limit-config.js';
export type { AttemptTracker, HeaderLookup, LoadBalancer, LoadBalancerContext, LoadBalancerFactory, LoadTracker, OverrideHost, PickContext, Picker, TrackerContext } from './load-balancing/load-balancer.js';
export { HeaderMap } from './stream/header-map.js';
export type { LocalReply } from './stream/local-reply.js';
export type { RequestHead } from './stream/request-head.js';
export type { ResponseHead } from './stream/response-head.js';
export type { PeerIdentity, StreamInfo, WorkloadInfo } from './stream/stream-info.js';
export type { ResponseFlag } from './stream/response-flag.js';
export type { AccessLogEntry, AccessLogSink } from './telemetry/access-log.js';
export type { Logger } from './telemetry/logger.js';
export type { Host } from './upstream/host.js';
export type { XdsStatus } from './xds/xds-client.js';
export { version } from './version.js';
