import { fromBinary } from '@weft/xds-api/protobuf';
import { HttpProtocolOptionsSchema, type ConfigSource } from '@weft/xds-api/core';
import {
  EarlyHeaderMutationSchema,
  HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert,
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  HttpConnectionManagerSchema,
  type HttpConnectionManager,
} from '@weft/xds-api/http';
import type { Any } from '@weft/xds-api/protobuf/wkt';
import { decodeMutation } from '../filter/http/header-mutation.js';
import { foreignOverride } from './foreign-override.js';
import { decodeHttpFilters, type HttpFilterRegistry, type Side } from './http-filter.js';
import type { HttpConnectionManagerConfig } from './listener-config.js';
import { join, knownFields, type Report } from './report.js';
import { decodeRouteConfiguration } from './route-configuration.js';
import { decodeListenerUpgrades } from './upgrade.js';
import { durationMs, typeNameOf, unpack } from './value.js';

const fields = knownFields(
  HttpConnectionManagerSchema,
  ['stat_prefix', 'rds', 'route_config', 'http_filters', 'common_http_protocol_options', 'stream_idle_timeout', 'request_timeout', 'forward_client_cert_details', 'normalize_path', 'merge_slashes', 'path_with_escaped_slashes_action', 'upgrade_configs', 'early_header_mutation_extensions', 'strip_any_host_port', 'strip_matching_host_port', 'strip_trailing_host_dot'],
  // Codecs, connections and identification of requests are node's and the application's; telemetry has its own configuration.
  ['codec_type', 'tracing', 'http_protocol_options', 'http2_protocol_options', 'http3_protocol_options', 'server_name', 'server_header_transformation', 'max_request_headers_kb', 'request_headers_timeout', 'drain_timeout', 'delayed_close_timeout', 'access_log', 'access_log_flush_interval', 'flush_access_log_on_new_request', 'access_log_options', 'use_remote_address', 'internal_address_config', 'skip_xff_append', 'via', 'generate_request_id', 'preserve_external_request_id', 'always_set_request_id_in_response', 'set_current_client_cert_details', 'proxy_100_continue', 'represent_ipv4_remote_address_as_ipv4_mapped_ipv6', 'request_id_extension', 'stream_error_on_invalid_http_message', 'append_local_overload', 'proxy_status_config', 'http1_safe_max_connection_duration', 'stream_flush_timeout', 'drain_timeout_jitter', 'record_route_resolution_stats'],
  ['scoped_routes', 'xff_num_trusted_hops', 'original_ip_detection_extensions'],
);
const earlyFields = knownFields(EarlyHeaderMutationSchema, ['mutations']);
const commonFields = knownFields(HttpProtocolOptionsSchema, ['max_stream_duration'], ['idle_timeout', 'max_connection_duration', 'max_headers_count', 'max_requests_per_connection', 'max_response_headers_kb', 'max_connection_duration_jitter']);

/** Undefined where the Any holds something else, which is then reported. */
export function decodeHttpConnectionManager(any: Any, side: Side, registry: HttpFilterRegistry, path: string, report: Report): HttpConnectionManagerConfig | undefined {
  if (typeNameOf(any) !== HttpConnectionManagerSchema.typeName) {
    report.add(path, `must be an HttpConnectionManager, is ${typeNameOf(any) || 'empty'}`);
    return undefined;
  }
  const manager = report.attempt(path, () => fromBinary(HttpConnectionManagerSchema, any.value));
  if (!manager) return undefined;
  report.checkUnknown(manager, path);
  report.check(fields, manager, path);
  checkTrust(manager, side, path, report);
  const common = manager.commonHttpProtocolOptions;
  if (common) report.check(commonFields, common, join(path, 'common_http_protocol_options'));
  const maxStreamDurationMs = durationMs(common?.maxStreamDuration, join(path, 'common_http_protocol_options.max_stream_duration'), report);
  const streamIdleTimeoutMs = durationMs(manager.streamIdleTimeout, join(path, 'stream_idle_timeout'), report);
  const requestTimeoutMs = durationMs(manager.requestTimeout, join(path, 'request_timeout'), report);
  const httpFilters = decodeHttpFilters(manager.httpFilters, side, registry, join(path, 'http_filters'), report);
  const route = decodeRouteSpecifier(manager, registry, path, report);
  if (route?.kind === 'inline') {
    const foreign = foreignOverride(httpFilters, route.config);
    if (foreign !== undefined) report.add(join(path, 'route_config'), foreign);
  }
  return route && {
    statPrefix: manager.statPrefix,
    route,
    httpFilters,
    ...(maxStreamDurationMs !== undefined && { maxStreamDurationMs }),
    ...(streamIdleTimeoutMs !== undefined && { streamIdleTimeoutMs }),
    ...(requestTimeoutMs !== undefined && { requestTimeoutMs }),
    ...(manager.upgradeConfigs.length > 0 && { upgrades: decodeListenerUpgrades(manager.upgradeConfigs, join(path, 'upgrade_configs'), report) }),
    ...decodeEarlyMutations(manager, join(path, 'early_header_mutation_extensions'), report),
    ...decodeAuthority(manager, path, report),
    normalizePath: manager.normalizePath ?? false,
    mergeSlashes: manager.mergeSlashes,
    escapedSlashes: escapedSlashes(manager.pathWithEscapedSlashesAction, join(path, 'path_with_escaped_slashes_action'), report),
  };
}

function decodeEarlyMutations({ earlyHeaderMutationExtensions: extensions }: HttpConnectionManager, path: string, report: Report): Pick<HttpConnectionManagerConfig, 'earlyMutations'> {
  if (extensions.length === 0) return {};
  const earlyMutations = extensions.flatMap(({ typedConfig }, i) => {
    const at = `${path}[${i}].typed_config`;
    if (!typedConfig) report.add(at, 'is required');
    const message = typedConfig && unpack(typedConfig, EarlyHeaderMutationSchema, at, report);
    if (message) report.check(earlyFields, message, at);
    return message?.mutations.flatMap((mutation, j) => decodeMutation(mutation, 'request', `${at}.mutations[${j}]`, report) ?? []) ?? [];
  });
  // Frozen here: what is compiled keeps its state.
  return { earlyMutations: Object.freeze(earlyMutations.map((mutation) => Object.freeze(mutation))) };
}

function decodeAuthority({ stripPortMode: mode, stripMatchingHostPort: matching, stripTrailingHostDot: dot }: HttpConnectionManager, path: string, report: Report): Pick<HttpConnectionManagerConfig, 'authority'> {
  const any = mode.case === 'stripAnyHostPort' && mode.value;
  if (any && matching) report.add(join(path, 'strip_matching_host_port'), 'cannot stand beside strip_any_host_port');
  return any || matching || dot ? { authority: { ...((any || matching) && { stripPort: any ? 'any' : 'matching' }), ...(dot && { stripDot: true }) } } : {};
}

// gRFC A41: a filter that judges by the client's address must not take it from a header that anybody can send.
function checkTrust(manager: HttpConnectionManager, side: Side, path: string, report: Report): void {
  if (manager.xffNumTrustedHops !== 0) report.add(join(path, 'xff_num_trusted_hops'), 'must be 0');
  if (manager.originalIpDetectionExtensions.length > 0) report.unsupported(join(path, 'original_ip_detection_extensions'));
  const { forwardClientCertDetails: details } = manager;
  if (side === 'server' && details !== ForwardClientCert.SANITIZE && details !== ForwardClientCert.SANITIZE_SET) {
    report.add(join(path, 'forward_client_cert_details'), 'only SANITIZE and SANITIZE_SET are supported: the header of a caller is never believed');
  }
}

function decodeRouteSpecifier(manager: HttpConnectionManager, registry: HttpFilterRegistry, path: string, report: Report): HttpConnectionManagerConfig['route'] | undefined {
  const { routeSpecifier: specifier } = manager;
  switch (specifier.case) {
    case 'rds':
      if (specifier.value.routeConfigName === '') report.add(join(path, 'rds.route_config_name'), 'must not be empty');
      checkAds(specifier.value.configSource, join(path, 'rds.config_source'), report);
      return { kind: 'rds', name: specifier.value.routeConfigName };
    case 'routeConfig':
      return { kind: 'inline', config: decodeRouteConfiguration(specifier.value, join(path, 'route_config'), registry, report) };
    case 'scopedRoutes':
      report.add(join(path, 'scoped_routes'), 'not supported: what a client dials, or a server binds, has one RouteConfiguration (rds or route_config), whose virtual hosts and matchers tell requests apart');
      return undefined;
    default:
      report.add(path, 'one of rds, route_config is required');
      return undefined;
  }
}

/** All resources come over the one stream. */
export function checkAds(source: ConfigSource | undefined, path: string, report: Report): void {
  const specifier = source?.configSourceSpecifier.case;
  if (specifier !== 'ads' && specifier !== 'self') report.add(path, source ? 'must be ads or self' : 'is required');
}

function escapedSlashes(action: EscapedSlashes, path: string, report: Report): HttpConnectionManagerConfig['escapedSlashes'] {
  switch (action) {
    case EscapedSlashes.IMPLEMENTATION_SPECIFIC_DEFAULT:
    case EscapedSlashes.KEEP_UNCHANGED:
      return 'keep';
    case EscapedSlashes.REJECT_REQUEST:
      return 'reject';
    case EscapedSlashes.UNESCAPE_AND_REDIRECT:
      return 'unescape-and-redirect';
    case EscapedSlashes.UNESCAPE_AND_FORWARD:
      return 'unescape-and-forward';
    default:
      report.add(path, `unknown value ${action as number}`);
      return 'reject';
  }
}
