// Clusters, their limits and protocol options.
export * from './gen/envoy/config/cluster/v3/cluster_pb.js';
export * from './gen/envoy/config/cluster/v3/circuit_breaker_pb.js';
export * from './gen/envoy/config/cluster/v3/outlier_detection_pb.js';
export * from './gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
export { ClusterConfigSchema as AggregateClusterConfigSchema, type ClusterConfig as AggregateClusterConfig } from './gen/envoy/extensions/clusters/aggregate/v3/cluster_pb.js';
export { ClusterConfigSchema as DynamicForwardProxyClusterConfigSchema, type ClusterConfig as DynamicForwardProxyClusterConfig } from './gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.js';
export {
  FilterConfigSchema as DynamicForwardProxyFilterConfigSchema, PerRouteConfigSchema as DynamicForwardProxyPerRouteConfigSchema,
} from './gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.js';
export * from './gen/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache_pb.js';
