// Fields of Envoy 1.40 that the shipped definitions, which are older, lack: so that they can be read, or refused by name. Numbers and types
// are those of the descriptors that the Envoy binary carries. Where a field's own type is not shipped either and nothing reads it, the field is left
// out: it is refused by its number.
const core = 'envoy/config/core/v3/';
const route = 'envoy/config/route/v3/route_components.proto';
const http = 'envoy/extensions/filters/http/';
const tls = 'envoy/extensions/transport_sockets/tls/v3/';
const upstreams = 'envoy/extensions/upstreams/http/v3/http_protocol_options.proto';
const hcm = 'envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto';
const tcpProxy = 'envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto';
const syntax = 'syntax = "proto3";';

function imports(file, ...names) {
  return [file, syntax, names.map((name) => `import "${name}.proto";`).join(' ')];
}

/** Arguments of `addTo`: the file, the line after which (or `before` or `instead` of which) the text is put, the text. */
export const newerFields = [
  // Routes.
  imports(route, 'envoy/config/common/mutation_rules/v3/mutation_rules', 'envoy/type/matcher/v3/filter_state', 'envoy/config/core/v3/substitution_format_string', 'envoy/type/matcher/v3/address', 'envoy/type/v3/ratelimit_unit'),
  [route, 'message RouteMatch {', 'repeated type.matcher.v3.FilterStateMatcher filter_state = 16; repeated CookieMatcher cookies = 17;'],
  [route, 'message RouteMatch {', 'message CookieMatcher { string name = 1; type.matcher.v3.StringMatcher string_match = 2; bool invert_match = 3; }', { before: true }],
  [route, '  message RequestMirrorPolicy {', 'repeated common.mutation_rules.v3.HeaderMutation request_headers_mutations = 7; string host_rewrite_literal = 8;'],
  [route, '  oneof host_rewrite_specifier {', 'string host_rewrite = 44;'],
  [route, 'message RouteAction {', 'string path_rewrite = 45; google.protobuf.Duration flush_timeout = 42;'],
  [route, '  oneof path_rewrite_specifier {', 'string path_rewrite = 10;'],
  [route, '  oneof random_value_specifier {', 'google.protobuf.BoolValue use_hash_policy = 5;'],
  [route, 'message RetryPolicy {', 'bool refresh_cluster_on_retry = 14;'],
  [route, 'message DirectResponseAction {', 'core.v3.SubstitutionFormatString body_format = 3;'],
  [route, 'message VirtualHost {', 'repeated core.v3.TypedExtensionConfig route_specifiers = 26; google.protobuf.UInt64Value request_body_buffer_limit = 25;'],
  [route, 'message Route {', 'repeated core.v3.TypedExtensionConfig route_specifiers = 21; google.protobuf.UInt64Value request_body_buffer_limit = 20;'],
  imports('envoy/config/route/v3/route.proto', 'envoy/config/core/v3/extension'),
  ['envoy/config/route/v3/route.proto', 'message RouteConfiguration {', 'string vhost_header = 18; repeated core.v3.TypedExtensionConfig route_specifiers = 19;'],
  [route, 'message RateLimit {', 'message HitsAddend { google.protobuf.UInt64Value number = 1; string format = 2; bool is_negative_hits = 3; } enum XRateLimitOption { UNSPECIFIED = 0; OFF = 1; DRAFT_VERSION_03 = 2; } HitsAddend hits_addend = 5; bool apply_on_stream_done = 6; XRateLimitOption x_ratelimit_option = 7;'],
  [route, '    message SourceCluster {', 'message QueryParameters { string query_parameter_name = 1; string descriptor_key = 2; bool skip_if_absent = 3; } message RemoteAddressMatch { string descriptor_value = 1; string descriptor_key = 2; string default_value = 3; type.matcher.v3.AddressMatcher address_matcher = 4; }', { before: true }],
  [route, '    oneof action_specifier {', 'QueryParameters query_parameters = 12; RemoteAddressMatch remote_address_match = 13;'],
  [route, '    message GenericKey {', 'string default_value = 3;'],
  [route, '    message HeaderValueMatch {', 'string default_value = 5;'],
  [route, '    message QueryParameterValueMatch {', 'string default_value = 5;'],
  [route, '    message DynamicMetadata {', 'message RateLimitOverride { uint32 requests_per_unit = 1; type.v3.RateLimitUnit unit = 2; }', { before: true }],
  [route, '    oneof override_specifier {', 'RateLimitOverride rate_limit = 2;'],
  // Clusters and endpoints.
  ['envoy/config/cluster/v3/circuit_breaker.proto', '    message RetryBudget {', 'google.protobuf.Duration budget_interval = 3;'],
  imports('envoy/config/cluster/v3/circuit_breaker.proto', 'google/protobuf/duration'),
  imports('envoy/config/cluster/v3/cluster.proto', 'xds/type/matcher/v3/matcher'),
  ['envoy/config/cluster/v3/cluster.proto', 'message Cluster {', 'message QueuingPolicies { core.v3.TypedExtensionConfig pending_rq_policy = 1; } google.protobuf.Duration dns_jitter = 58; .xds.type.matcher.v3.Matcher transport_socket_matcher = 59; google.protobuf.Duration per_connection_buffer_high_watermark_timeout = 60; QueuingPolicies queuing_policies = 62;'],
  ['envoy/config/cluster/v3/outlier_detection.proto', 'message OutlierDetection {', 'google.protobuf.BoolValue detect_degraded_hosts = 26;'],
  ['envoy/config/endpoint/v3/endpoint_components.proto', 'message Endpoint {', 'string observability_name = 5;'],
  [`${core}address.proto`, 'message BindConfig {', 'bool validate_network_namespaces = 7;'],
  [`${core}address.proto`, 'message SocketAddress {', 'string network_namespace_filepath = 7;'],
  [`${core}health_check.proto`, 'message HealthCheck {', 'string name = 27;'],
  [`${core}health_check.proto`, '  message HttpHealthCheck {', 'bool use_alpn_protocol = 15;'],
  imports(`${core}protocol.proto`, 'envoy/type/matcher/v3/string'),
  [`${core}protocol.proto`, 'message Http1ProtocolOptions {', 'repeated type.matcher.v3.StringMatcher ignore_http_11_upgrade = 11;'],
  [`${core}protocol.proto`, 'message Http2ProtocolOptions {', 'google.protobuf.UInt64Value max_metadata_size = 17; google.protobuf.BoolValue enable_huffman_encoding = 18; google.protobuf.UInt32Value max_header_field_size_kb = 19; google.protobuf.BoolValue disallow_obs_text = 20; google.protobuf.UInt64Value stream_reset_burst = 21; google.protobuf.UInt64Value stream_reset_rate = 22;'],
  [`${core}protocol.proto`, 'message HttpProtocolOptions {', 'google.protobuf.UInt32Value max_response_headers_kb = 7; type.v3.Percent max_connection_duration_jitter = 8;'],
  imports(upstreams, 'envoy/config/route/v3/route_components', 'envoy/config/common/matcher/v3/matcher'),
  [upstreams, 'message HttpProtocolOptions {', 'message OutlierDetection { config.common.matcher.v3.MatchPredicate error_matcher = 1; } OutlierDetection outlier_detection = 8; repeated config.route.v3.RouteAction.RequestMirrorPolicy request_mirror_policies = 9; repeated config.route.v3.RouteAction.HashPolicy hash_policy = 10; config.route.v3.RetryPolicy retry_policy = 11;'],
  // Listeners and connections.
  ['envoy/config/listener/v3/listener.proto', 'message Listener {', 'message FcdsConfig { string name = 1; core.v3.ConfigSource config_source = 2; } FcdsConfig fcds_config = 36; core.v3.TcpKeepalive tcp_keepalive = 37; google.protobuf.Duration per_connection_buffer_high_watermark_timeout = 38;'],
  imports('envoy/config/listener/v3/listener.proto', 'envoy/config/core/v3/config_source'),
  [hcm, 'message HttpConnectionManager {', 'bool http1_safe_max_connection_duration = 58; google.protobuf.Duration stream_flush_timeout = 59; .xds.type.matcher.v3.Matcher forward_client_cert_matcher = 60; ForwardProtoConfig forward_proto_config = 61; type.v3.Percent drain_timeout_jitter = 62; bool record_route_resolution_stats = 63;'],
  [hcm, 'message HttpConnectionManager {', 'message ForwardProtoConfig { repeated uint32 https_destination_ports = 1; repeated uint32 http_destination_ports = 2; }', { before: true }],
  imports(hcm, 'xds/type/matcher/v3/matcher'),
  imports(tcpProxy, 'envoy/config/core/v3/backoff', 'envoy/type/v3/percent'),
  [tcpProxy, 'message TcpProxy {', 'config.core.v3.BackoffStrategy backoff_options = 18; type.v3.Percent max_downstream_connection_duration_jitter_percentage = 20; google.protobuf.UInt32Value max_early_data_bytes = 22; google.protobuf.BoolValue check_drain_close = 24;'],
  ['envoy/extensions/filters/network/rbac/v3/rbac.proto', 'message RBAC {', 'google.protobuf.Duration delay_deny = 8;'],
  imports('envoy/extensions/filters/network/rbac/v3/rbac.proto', 'google/protobuf/duration'),
  ['envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.proto', 'message ProxyProtocolUpstreamTransport {', 'bool allow_unspecified_address = 3; bool tlv_as_pool_key = 4;'],
  [`${tls}common.proto`, 'message CertificateValidationContext {', 'bool suppress_client_ca_list = 18;'],
  [`${tls}common.proto`, 'message TlsCertificate {', 'TlsParameters tls_params = 9;'],
  [`${tls}common.proto`, 'message TlsParameters {', 'enum CompliancePolicy { FIPS_202205 = 0; CNSA2_202603 = 1; CNSA1_202603 = 2; } repeated CompliancePolicy compliance_policies = 6;'],
  [`${tls}tls.proto`, 'message CommonTlsContext {', 'config.core.v3.TypedExtensionConfig custom_tls_certificate_selector = 16;'],
  [`${tls}tls.proto`, 'message DownstreamTlsContext {', 'bool prefer_client_ciphers = 11;'],
  [`${tls}tls.proto`, 'message UpstreamTlsContext {', 'bool auto_host_sni = 6; bool auto_sni_san_validation = 7;'],
  imports('envoy/type/matcher/v3/filter_state.proto', 'envoy/type/matcher/v3/address'),
  ['envoy/type/matcher/v3/filter_state.proto', '  oneof matcher {', 'AddressMatcher address_match = 3;'],
  // RBAC.
  ['envoy/config/rbac/v3/rbac.proto', 'message Permission {', 'enum MetadataSource { DYNAMIC = 0; ROUTE = 1; } message SourcedMetadata { type.matcher.v3.MetadataMatcher metadata_matcher = 1; MetadataSource metadata_source = 2; }', { before: true }],
  ['envoy/config/rbac/v3/rbac.proto', '  oneof rule {', 'SourcedMetadata sourced_metadata = 14;'],
  ['envoy/config/rbac/v3/rbac.proto', '  oneof identifier {', 'SourcedMetadata sourced_metadata = 13; core.v3.TypedExtensionConfig custom = 14;'],
  // Filters.
  ['envoy/config/common/mutation_rules/v3/mutation_rules.proto', 'message HeaderMutation {', 'message RemoveOnMatch { type.matcher.v3.StringMatcher key_matcher = 1; }'],
  ['envoy/config/common/mutation_rules/v3/mutation_rules.proto', '  oneof action {', 'RemoveOnMatch remove_on_match = 3;'],
  imports('envoy/config/common/mutation_rules/v3/mutation_rules.proto', 'envoy/type/matcher/v3/string'),
  [`${core}base.proto`, 'message KeyValueAppend {', 'KeyValuePair record = 3;'],
  [`${core}base.proto`, 'message KeyValueAppend {', 'message KeyValuePair { string key = 1; google.protobuf.Value value = 2; }', { before: true }],
  [`${http}header_mutation/v3/header_mutation.proto`, 'message Mutations {', 'repeated config.core.v3.KeyValueMutation query_parameter_mutations = 3; repeated config.common.mutation_rules.v3.HeaderMutation response_trailers_mutations = 4; repeated config.common.mutation_rules.v3.HeaderMutation request_trailers_mutations = 5; repeated config.core.v3.TypedExtensionConfig formatters = 6;'],
  imports(`${http}header_mutation/v3/header_mutation.proto`, 'envoy/config/core/v3/base', 'envoy/config/core/v3/extension'),
  [`${http}compressor/v3/compressor.proto`, '  message CommonDirectionConfig {', 'repeated type.matcher.v3.StringMatcher content_type_matcher = 4;'],
  imports(`${http}compressor/v3/compressor.proto`, 'envoy/type/matcher/v3/string'),
  [`${http}compressor/v3/compressor.proto`, '  message ResponseDirectionConfig {', 'repeated uint32 uncompressible_response_codes = 4; bool status_header_enabled = 5; bool weaken_etag_on_compress = 6;'],
  [`${http}compressor/v3/compressor.proto`, 'message CompressorOverrides {', 'config.core.v3.TypedExtensionConfig compressor_library = 2;'],
  [`${http}local_ratelimit/v3/local_rate_limit.proto`, 'message LocalRateLimit {', 'repeated config.route.v3.RateLimit rate_limits = 17; google.protobuf.UInt32Value max_dynamic_descriptors = 18; bool enable_retry_after_header = 19;'],
  imports(`${http}local_ratelimit/v3/local_rate_limit.proto`, 'envoy/config/route/v3/route_components'),
  ['envoy/extensions/common/ratelimit/v3/ratelimit.proto', 'message LocalRateLimitDescriptor {', 'bool shadow_mode = 3;'],
  [`${http}ratelimit/v3/rate_limit.proto`, 'message RateLimit {', 'config.core.v3.RuntimeFractionalPercent filter_enabled = 14; config.core.v3.RuntimeFractionalPercent filter_enforced = 15; config.core.v3.RuntimeFractionalPercent failure_mode_deny_percent = 16; repeated config.route.v3.RateLimit rate_limits = 17; string metadata_namespace = 18; bool enable_retry_after_header = 19;'],
  ['envoy/extensions/common/ratelimit/v3/ratelimit.proto', 'message RateLimitDescriptor {', 'google.protobuf.UInt64Value hits_addend = 3; bool is_negative_hits = 4;'],
  imports('envoy/extensions/common/ratelimit/v3/ratelimit.proto', 'google/protobuf/wrappers'),
  // Of another type in the shipped definitions, which Envoy never served.
  [`${http}ratelimit/v3/rate_limit.proto`, '  repeated RateLimitConfig rate_limits = 3;', 'repeated config.route.v3.RateLimit rate_limits = 3;', { instead: true }],
  imports(`${http}ratelimit/v3/rate_limit.proto`, 'envoy/config/route/v3/route_components'),
  [`${http}fault/v3/fault.proto`, 'message FaultAbort {', 'string response_body = 6;'],
  [`${http}header_to_metadata/v3/header_to_metadata.proto`, 'message Config {', 'string stat_prefix = 3;'],
  [`${http}adaptive_concurrency/v3/adaptive_concurrency.proto`, '  message ConcurrencyLimitCalculationParams {', 'google.protobuf.UInt32Value min_concurrency_limit = 4;'],
  [`${http}adaptive_concurrency/v3/adaptive_concurrency.proto`, '  message MinimumRTTCalculationParams {', 'google.protobuf.Duration fixed_value = 6;'],
  [`${http}router/v3/router.proto`, 'message Router {', 'google.protobuf.BoolValue reject_connect_request_early_data = 10;'],
  [`${http}tap/v3/tap.proto`, 'message Tap {', 'bool record_upstream_connection = 4;'],
  [`${http}dynamic_forward_proxy/v3/dynamic_forward_proxy.proto`, 'message FilterConfig {', 'bool allow_dynamic_host_from_filter_state = 4;'],
  ['envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache.proto', 'message DnsCacheConfig {', 'bool disable_dns_refresh_on_failure = 15; type.matcher.v3.AddressMatcher resolved_address_filter = 16;'],
  imports('envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache.proto', 'envoy/type/matcher/v3/address'),
  ['envoy/config/tap/v3/common.proto', 'message OutputConfig {', 'google.protobuf.UInt32Value min_streamed_sent_bytes = 5;'],
  ['xds/type/matcher/v3/matcher.proto', '  message OnMatch {', 'bool keep_matching = 3;'],
];
