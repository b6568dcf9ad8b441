// Which HTTP is spoken to a cluster, and how long its connections live.
import { HttpProtocolOptions_AutoHttpConfigSchema, HttpProtocolOptions_ExplicitHttpConfigSchema, HttpProtocolOptions_UseDownstreamHttpConfigSchema, HttpProtocolOptionsSchema as UpstreamOptionsSchema, type Cluster, type HttpProtocolOptions as UpstreamOptions } from '@weft/xds-api/cluster';
import { Http1ProtocolOptionsSchema, Http2ProtocolOptionsSchema, HttpProtocolOptionsSchema, KeepaliveSettingsSchema, UpstreamHttpProtocolOptionsSchema, type Http2ProtocolOptions, type UpstreamHttpProtocolOptions, type HttpProtocolOptions } from '@weft/xds-api/core';
import type { ClusterConfig } from './cluster-config.js';
import { join, knownFields, type Report } from './report.js';
import { durationMs, unpack } from './value.js';

const upstreamFields = knownFields(UpstreamOptionsSchema, ['common_http_protocol_options', 'upstream_http_protocol_options', 'explicit_http_config', 'use_downstream_protocol_config', 'auto_config']);
const explicitFields = knownFields(HttpProtocolOptions_ExplicitHttpConfigSchema, ['http_protocol_options', 'http2_protocol_options']);
const autoFields = knownFields(HttpProtocolOptions_AutoHttpConfigSchema, ['http_protocol_options', 'http2_protocol_options']);
// Nobody comes to a process with HTTP/3, so the options for going on with it never count.
const downstreamFields = knownFields(HttpProtocolOptions_UseDownstreamHttpConfigSchema, ['http_protocol_options', 'http2_protocol_options'], ['http3_protocol_options']);
const http1Fields = knownFields(Http1ProtocolOptionsSchema, [], ['allow_absolute_url', 'accept_http_10', 'default_host_for_http_10', 'header_key_format', 'enable_trailers', 'allow_chunked_length', 'override_stream_error_on_invalid_http_message', 'use_balsa_parser', 'allow_custom_methods', 'ignore_http_11_upgrade']);
const commonFields = knownFields(HttpProtocolOptionsSchema, ['idle_timeout', 'max_connection_duration', 'max_requests_per_connection'], ['max_headers_count', 'max_response_headers_kb']);
const sniFields = knownFields(UpstreamHttpProtocolOptionsSchema, []);
// There the name to send and to verify is the host's, which is known before any request.
const proxySniFields = knownFields(UpstreamHttpProtocolOptionsSchema, ['auto_sni', 'auto_san_validation']);
// Windows, tables and limits of bad frames are Node's to choose; a keep-alive that is asked for would be missed.
const http2Fields = knownFields(Http2ProtocolOptionsSchema, ['max_concurrent_streams', 'connection_keepalive'], ['hpack_table_size', 'initial_stream_window_size', 'initial_connection_window_size', 'allow_connect', 'allow_metadata', 'max_outbound_frames', 'max_outbound_control_frames', 'max_consecutive_inbound_frames_with_empty_payload', 'max_inbound_priority_frames_per_stream', 'max_inbound_window_update_frames_per_data_frame_sent', 'stream_error_on_invalid_http_messaging', 'override_stream_error_on_invalid_http_message', 'use_oghttp2_codec', 'max_metadata_size', 'enable_huffman_encoding', 'max_header_field_size_kb', 'disallow_obs_text', 'stream_reset_burst', 'stream_reset_rate']);
// How pings are spread, which only spares a proxy that has thousands of connections.
const keepAliveFields = knownFields(KeepaliveSettingsSchema, ['interval', 'timeout'], ['interval_jitter']);
const extensionName = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const oneHour = 3_600_000;

type Protocol = Pick<ClusterConfig, 'protocol' | 'idleTimeoutMs' | 'maxConnectionDurationMs' | 'maxRequestsPerConnection' | 'maxConcurrentStreams' | 'http2KeepAlive'>;

export function decodeUpstreamProtocol(cluster: Cluster, report: Report): Protocol {
  for (const name of Object.keys(cluster.typedExtensionProtocolOptions)) {
    if (name !== extensionName) report.unsupported(`typed_extension_protocol_options[${JSON.stringify(name)}]`);
  }
  const any = cluster.typedExtensionProtocolOptions[extensionName];
  const path = `typed_extension_protocol_options[${JSON.stringify(extensionName)}]`;
  const options = any && unpack(any, UpstreamOptionsSchema, path, report);
  if (options) return fromOptions(options, cluster, path, report);
  // The older fields of the cluster itself.
  if (cluster.upstreamHttpProtocolOptions) checkSni(cluster, cluster.upstreamHttpProtocolOptions, 'upstream_http_protocol_options', report);
  const http2 = cluster.http2ProtocolOptions;
  return {
    protocol: http2 ? 'http2' : 'http1',
    ...decodeHttp2(http2, 'http2_protocol_options', report),
    ...decodeCommon(cluster.commonHttpProtocolOptions, cluster, 'common_http_protocol_options', report),
  };
}

function fromOptions(options: UpstreamOptions, cluster: Cluster, path: string, report: Report): Protocol {
  report.check(upstreamFields, options, path);
  // auto_sni and auto_san_validation decide whom we believe: not to be passed over.
  if (options.upstreamHttpProtocolOptions) checkSni(cluster, options.upstreamHttpProtocolOptions, join(path, 'upstream_http_protocol_options'), report);
  const common = decodeCommon(options.commonHttpProtocolOptions, cluster, join(path, 'common_http_protocol_options'), report);
  const chosen = options.upstreamProtocolOptions;
  switch (chosen.case) {
    case 'explicitHttpConfig': {
      report.check(explicitFields, chosen.value, join(path, 'explicit_http_config'));
      const { protocolConfig } = chosen.value;
      if (protocolConfig.case === 'httpProtocolOptions') report.check(http1Fields, protocolConfig.value, join(path, 'explicit_http_config.http_protocol_options'));
      if (protocolConfig.case !== 'http2ProtocolOptions') return { protocol: 'http1', ...common };
      return { protocol: 'http2', ...decodeHttp2(protocolConfig.value, join(path, 'explicit_http_config.http2_protocol_options'), report), ...common };
    }
    // As the caller came to us: HTTP as HTTP/1.1; gRPC is HTTP/2 anyway.
    case 'useDownstreamProtocolConfig':
      report.check(downstreamFields, chosen.value, join(path, 'use_downstream_protocol_config'));
      if (chosen.value.httpProtocolOptions) report.check(http1Fields, chosen.value.httpProtocolOptions, join(path, 'use_downstream_protocol_config.http_protocol_options'));
      return { protocol: 'http1', ...decodeHttp2(chosen.value.http2ProtocolOptions, join(path, 'use_downstream_protocol_config.http2_protocol_options'), report), ...common };
    case 'autoConfig':
      report.check(autoFields, chosen.value, join(path, 'auto_config'));
      if (chosen.value.httpProtocolOptions) report.check(http1Fields, chosen.value.httpProtocolOptions, join(path, 'auto_config.http_protocol_options'));
      return { protocol: 'auto', ...decodeHttp2(chosen.value.http2ProtocolOptions, join(path, 'auto_config.http2_protocol_options'), report), ...common };
    default:
      report.add(path, 'one of explicit_http_config, use_downstream_protocol_config, auto_config is required');
      return { protocol: 'http1', ...common };
  }
}

function decodeHttp2(options: Http2ProtocolOptions | undefined, path: string, report: Report): Pick<Protocol, 'maxConcurrentStreams' | 'http2KeepAlive'> {
  if (!options) return {};
  report.check(http2Fields, options, path);
  const keepAlive = options.connectionKeepalive;
  const keepAlivePath = join(path, 'connection_keepalive');
  if (keepAlive) report.check(keepAliveFields, keepAlive, keepAlivePath);
  const intervalMs = durationMs(keepAlive?.interval, join(keepAlivePath, 'interval'), report, { positive: true });
  const timeoutMs = durationMs(keepAlive?.timeout, join(keepAlivePath, 'timeout'), report, { positive: true });
  if (keepAlive && timeoutMs === undefined) report.add(join(keepAlivePath, 'timeout'), 'is required');
  return {
    ...(options.maxConcurrentStreams !== undefined && { maxConcurrentStreams: options.maxConcurrentStreams }),
    // Timers take whole milliseconds.
    ...(intervalMs !== undefined && timeoutMs !== undefined && { http2KeepAlive: { intervalMs: Math.max(1, Math.round(intervalMs)), timeoutMs } }),
  };
}

function decodeCommon(common: HttpProtocolOptions | undefined, cluster: Cluster, path: string, report: Report): Omit<Protocol, 'protocol'> {
  if (common) report.check(commonFields, common, path);
  const maxConnectionDurationMs = durationMs(common?.maxConnectionDuration, join(path, 'max_connection_duration'), report);
  const maxRequestsPerConnection = common?.maxRequestsPerConnection ?? cluster.maxRequestsPerConnection;
  return {
    idleTimeoutMs: durationMs(common?.idleTimeout, join(path, 'idle_timeout'), report) ?? oneHour,
    ...(maxConnectionDurationMs !== undefined && { maxConnectionDurationMs }),
    // 0 is "no limit" to Envoy.
    ...(maxRequestsPerConnection && { maxRequestsPerConnection }),
  };
}

function checkSni(cluster: Cluster, options: UpstreamHttpProtocolOptions, path: string, report: Report): void {
  const own = cluster.clusterDiscoveryType.case === 'clusterType' && cluster.clusterDiscoveryType.value.name === 'envoy.clusters.dynamic_forward_proxy';
  report.check(own ? proxySniFields : sniFields, options, path);
}
