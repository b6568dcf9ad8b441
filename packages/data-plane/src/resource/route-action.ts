// What a route does: forward, redirect or answer.
import { RoutingPriority, SubstitutionFormatStringSchema, type SubstitutionFormatString } from '@weft/xds-api/core';
import {
  DirectResponseActionSchema,
  RedirectActionSchema,
  RedirectAction_RedirectResponseCode as RedirectCode,
  RouteAction_ClusterNotFoundResponseCode as NotFoundCode,
  RouteAction_MaxStreamDurationSchema,
  RouteActionSchema,
  UriTemplateRewriteConfigSchema,
  WeightedCluster_ClusterWeightSchema,
  WeightedClusterSchema,
  type DirectResponseAction,
  type RedirectAction,
  type Route,
  type RouteAction,
  type RouteAction_RequestMirrorPolicy,
  type WeightedCluster,
} from '@weft/xds-api/route';
import { decodeHeaderMutations } from './header-mutation.js';
import { decodeHashPolicy } from './hash-policy.js';
import { decodeFilterOverrides, type HttpFilterRegistry } from './http-filter.js';
import { decodeInternalRedirect } from './internal-redirect.js';
import { decodeRegexRewrite } from './matcher.js';
import { decodeRateLimits } from './rate-limit.js';
import { join, knownFields, type Report } from './report.js';
import { decodeHedgePolicy, decodeRetryPolicies } from './retry-policy.js';
import { decodeMirrors } from './route-mirror.js';
import type { ForwardActionConfig, RedirectConfig, RouteActionConfig, WeightedClusterConfig } from './route-config.js';
import { decodeRouteUpgrades } from './upgrade.js';
import { durationMs, filterMetadata, maxTotalWeight, unpack } from './value.js';

const forwardFields = knownFields(
  RouteActionSchema,
  ['cluster', 'cluster_header', 'weighted_clusters', 'cluster_not_found_response_code', 'metadata_match', 'prefix_rewrite', 'regex_rewrite', 'host_rewrite_literal', 'auto_host_rewrite', 'host_rewrite_header', 'host_rewrite_path_regex', 'host_rewrite', 'path_rewrite_policy', 'path_rewrite', 'internal_redirect_policy', 'internal_redirect_action', 'max_internal_redirects', 'append_x_forwarded_host', 'timeout', 'idle_timeout', 'retry_policy', 'retry_policy_typed_config', 'hedge_policy', 'request_mirror_policies', 'priority', 'hash_policy', 'max_grpc_timeout', 'grpc_timeout_offset', 'max_stream_duration', 'rate_limits', 'include_vh_rate_limits', 'cors', 'upgrade_configs'],
  ['early_data_policy', 'flush_timeout'],
  ['cluster_specifier_plugin', 'inline_cluster_specifier_plugin'],
);
const redirectFields = knownFields(RedirectActionSchema, ['https_redirect', 'scheme_redirect', 'host_redirect', 'port_redirect', 'path_redirect', 'prefix_rewrite', 'regex_rewrite', 'path_rewrite', 'response_code', 'strip_query']);
const directFields = knownFields(DirectResponseActionSchema, ['status', 'body', 'body_format']);
const templateFields = knownFields(UriTemplateRewriteConfigSchema, ['path_template_rewrite']);
const formatFields = knownFields(SubstitutionFormatStringSchema, ['text_format', 'text_format_source', 'omit_empty_values', 'content_type']);
const durationFields = knownFields(RouteAction_MaxStreamDurationSchema, ['max_stream_duration', 'grpc_timeout_header_max', 'grpc_timeout_header_offset']);
const weightedFields = knownFields(WeightedClusterSchema, ['clusters', 'header_name', 'use_hash_policy'], ['total_weight', 'runtime_key_prefix']);
const weightFields = knownFields(WeightedCluster_ClusterWeightSchema, ['name', 'cluster_header', 'host_rewrite_literal', 'weight', 'metadata_match', 'request_headers_to_add', 'request_headers_to_remove', 'response_headers_to_add', 'response_headers_to_remove', 'typed_per_filter_config']);

/** What a route takes from the levels above it. */
export interface Inherited {
  readonly mirrors: readonly RouteAction_RequestMirrorPolicy[];
  readonly mirrorsPath: string;
  readonly maxDirectResponseBodySize: number;
}

/** Undefined where it is missing or of a kind Weft does not know, which is then reported. */
export function decodeRouteAction(route: Route, path: string, inherited: Inherited, registry: HttpFilterRegistry, report: Report): RouteActionConfig | undefined {
  const { action } = route;
  switch (action.case) {
    case 'route':
      return { kind: 'route', ...decodeForward(action.value, join(path, 'route'), inherited, registry, report) };
    case 'redirect':
      return { kind: 'redirect', ...decodeRedirect(action.value, join(path, 'redirect'), report) };
    case 'directResponse':
      return decodeDirectResponse(action.value, join(path, 'direct_response'), inherited.maxDirectResponseBodySize, report);
    case 'nonForwardingAction':
      return { kind: 'non-forwarding' };
    case 'filterAction':
      report.add(join(path, 'filter_action'), 'not supported: what a filter answers, direct_response and filters of the application in TypeScript can');
      return undefined;
    default:
      report.add(path, 'one of route, redirect, direct_response, non_forwarding_action is required');
      return undefined;
  }
}

function decodeForward(action: RouteAction, path: string, inherited: Inherited, registry: HttpFilterRegistry, report: Report): ForwardActionConfig {
  report.check(forwardFields, action, path);
  const maxStreamDuration = decodeMaxStreamDuration(action, path, report);
  const hostRewrite = decodeHostRewrite(action, path, report);
  const idleTimeoutMs = durationMs(action.idleTimeout, join(path, 'idle_timeout'), report);
  const metadataMatch = filterMetadata(action.metadataMatch)['envoy.lb'];
  const rewrites = [['prefix_rewrite', action.prefixRewrite !== ''], ['regex_rewrite', action.regexRewrite !== undefined], ['path_rewrite_policy', action.pathRewritePolicy !== undefined], ['path_rewrite', action.pathRewrite !== '']] as const;
  const [first, second] = rewrites.filter(([, set]) => set);
  if (first && second) report.add(join(path, second[0]), `cannot stand beside ${first[0]}`);
  const templateRewrite = decodeTemplateRewrite(action, path, report);
  const internalRedirect = decodeInternalRedirect(action, path, report);
  return {
    cluster: decodeCluster(action.clusterSpecifier, path, registry, report),
    clusterNotFoundStatus: { [NotFoundCode.SERVICE_UNAVAILABLE]: 503, [NotFoundCode.NOT_FOUND]: 404, [NotFoundCode.INTERNAL_SERVER_ERROR]: 500 }[action.clusterNotFoundResponseCode] ?? 503,
    timeoutMs: durationMs(action.timeout, join(path, 'timeout'), report) ?? 15_000,
    ...(idleTimeoutMs !== undefined && { idleTimeoutMs }),
    ...(maxStreamDuration && { maxStreamDuration }),
    ...decodeRetryPolicies(action, path, report),
    ...decodeHedgePolicy(action.hedgePolicy, join(path, 'hedge_policy'), report),
    ...decodeGrpcTimeout(action, path, report),
    ...(action.prefixRewrite !== '' && { prefixRewrite: action.prefixRewrite }),
    ...(action.regexRewrite && { regexRewrite: decodeRegexRewrite(action.regexRewrite, join(path, 'regex_rewrite'), report) }),
    ...(templateRewrite !== undefined && { templateRewrite }),
    ...(action.pathRewrite !== '' && { pathFormat: action.pathRewrite }),
    ...(hostRewrite && { hostRewrite }),
    ...(internalRedirect && { internalRedirect }),
    appendXForwardedHost: action.appendXForwardedHost,
    hashPolicies: action.hashPolicy.flatMap((policy, i) => decodeHashPolicy(policy, `${path}.hash_policy[${i}]`, report) ?? []),
    // Envoy: the most specific level that names mirrors replaces the others.
    mirrors: action.requestMirrorPolicies.length > 0
      ? decodeMirrors(action.requestMirrorPolicies, join(path, 'request_mirror_policies'), report)
      : decodeMirrors(inherited.mirrors, inherited.mirrorsPath, report),
    ...(metadataMatch && { metadataMatch }),
    priority: action.priority === RoutingPriority.HIGH ? 'high' : 'default',
    ...(action.rateLimits.length > 0 && { rateLimits: decodeRateLimits(action.rateLimits, join(path, 'rate_limits'), report) }),
    ...(action.includeVhRateLimits && { includeVirtualHostRateLimits: true }),
    ...(action.upgradeConfigs.length > 0 && { upgrades: decodeRouteUpgrades(action.upgradeConfigs, join(path, 'upgrade_configs'), report) }),
  };
}

function decodeCluster(specifier: RouteAction['clusterSpecifier'], path: string, registry: HttpFilterRegistry, report: Report): ForwardActionConfig['cluster'] {
  switch (specifier.case) {
    case 'cluster':
      if (specifier.value === '') report.add(join(path, 'cluster'), 'must not be empty');
      return { kind: 'cluster', name: specifier.value };
    case 'clusterHeader':
      if (specifier.value === '') report.add(join(path, 'cluster_header'), 'must not be empty');
      return { kind: 'header', header: specifier.value.toLowerCase() };
    case 'weightedClusters':
      return decodeWeightedClusters(specifier.value, join(path, 'weighted_clusters'), registry, report);
    case 'clusterSpecifierPlugin':
      report.add(join(path, 'cluster_specifier_plugin'), pluginReason);
      break;
    case 'inlineClusterSpecifierPlugin':
      report.add(join(path, 'inline_cluster_specifier_plugin'), pluginReason);
      break;
    default:
      report.add(path, 'one of cluster, cluster_header, weighted_clusters is required');
  }
  return { kind: 'cluster', name: '' };
}

const pluginReason = 'not supported: cluster_header, set by a filter, chooses a cluster for each request';

function decodeWeightedClusters(weighted: WeightedCluster, path: string, registry: HttpFilterRegistry, report: Report): ForwardActionConfig['cluster'] {
  // total_weight is deprecated: the sum of the weights counts (grpc-node #3069 is what trusting it did).
  report.check(weightedFields, weighted, path);
  let totalWeight = 0;
  const clusters: WeightedClusterConfig[] = [];
  weighted.clusters.forEach((cluster, i) => {
    const at = `${path}.clusters[${i}]`;
    report.check(weightFields, cluster, at);
    if ((cluster.name === '') === (cluster.clusterHeader === '')) report.add(at, 'one of name, cluster_header is required');
    if (cluster.weight === undefined) report.add(join(at, 'weight'), 'is required');
    const weight = cluster.weight ?? 0;
    totalWeight += weight;
    const metadataMatch = filterMetadata(cluster.metadataMatch)['envoy.lb'];
    const mutations = decodeHeaderMutations(cluster, at, report);
    const filterOverrides = decodeFilterOverrides(cluster.typedPerFilterConfig, registry, join(at, 'typed_per_filter_config'), report);
    // Never chosen, so not subscribed either: its absence must not matter.
    if (weight > 0) clusters.push({ name: cluster.name, ...(cluster.clusterHeader !== '' && { clusterHeader: cluster.clusterHeader.toLowerCase() }), ...(cluster.hostRewriteSpecifier.case === 'hostRewriteLiteral' && cluster.hostRewriteSpecifier.value !== '' && { hostRewrite: cluster.hostRewriteSpecifier.value }), weight, mutations, filterOverrides, ...(metadataMatch && { metadataMatch }) });
  });
  if (totalWeight < 1 || totalWeight > maxTotalWeight) report.add(path, `the weights must sum to 1 to ${maxTotalWeight}, they sum to ${totalWeight}`);
  const { randomValueSpecifier: source } = weighted;
  return { kind: 'weighted', clusters, totalWeight, headerName: source.case === 'headerName' ? source.value.toLowerCase() : '', ...(source.case === 'useHashPolicy' && source.value.value && { useHash: true }) };
}

function decodeTemplateRewrite({ pathRewritePolicy }: RouteAction, path: string, report: Report): string | undefined {
  if (!pathRewritePolicy) return undefined;
  const at = join(path, 'path_rewrite_policy.typed_config');
  if (!pathRewritePolicy.typedConfig) report.add(at, 'is required');
  const template = pathRewritePolicy.typedConfig && unpack(pathRewritePolicy.typedConfig, UriTemplateRewriteConfigSchema, at, report);
  if (template) report.check(templateFields, template, at);
  return template?.pathTemplateRewrite;
}

function decodeHostRewrite(action: RouteAction, path: string, report: Report): ForwardActionConfig['hostRewrite'] {
  const specifier = action.hostRewriteSpecifier;
  switch (specifier.case) {
    case 'hostRewriteLiteral':
      return specifier.value === '' ? undefined : { kind: 'literal', value: specifier.value };
    case 'hostRewrite':
      return specifier.value === '' ? undefined : { kind: 'format', format: specifier.value };
    case 'hostRewriteHeader':
      return { kind: 'header', header: specifier.value.toLowerCase() };
    case 'hostRewritePathRegex':
      return { kind: 'path-regex', regex: decodeRegexRewrite(specifier.value, join(path, 'host_rewrite_path_regex'), report) };
    case 'autoHostRewrite':
      // Inside a oneof the wrapper stays a message, which is truthy when it says false.
      return specifier.value.value ? { kind: 'auto' } : undefined;
    default:
      return undefined;
  }
}

function decodeMaxStreamDuration(action: RouteAction, path: string, report: Report): ForwardActionConfig['maxStreamDuration'] {
  const duration = action.maxStreamDuration;
  if (duration) report.check(durationFields, duration, join(path, 'max_stream_duration'));
  const maxMs = durationMs(duration?.maxStreamDuration, join(path, 'max_stream_duration.max_stream_duration'), report);
  const grpcTimeoutHeaderMaxMs = durationMs(duration?.grpcTimeoutHeaderMax, join(path, 'max_stream_duration.grpc_timeout_header_max'), report);
  const grpcTimeoutHeaderOffsetMs = durationMs(duration?.grpcTimeoutHeaderOffset, join(path, 'max_stream_duration.grpc_timeout_header_offset'), report);
  if (!duration) return undefined;
  return {
    ...(maxMs !== undefined && { maxMs }),
    ...(grpcTimeoutHeaderMaxMs !== undefined && { grpcTimeoutHeaderMaxMs }),
    ...(grpcTimeoutHeaderOffsetMs !== undefined && { grpcTimeoutHeaderOffsetMs }),
  };
}

/** The older fields; where `max_stream_duration` stands, Envoy does not look at them. */
function decodeGrpcTimeout(action: RouteAction, path: string, report: Report): Pick<ForwardActionConfig, 'maxGrpcTimeoutMs' | 'grpcTimeoutOffsetMs'> {
  const maxGrpcTimeoutMs = durationMs(action.maxGrpcTimeout, join(path, 'max_grpc_timeout'), report);
  const grpcTimeoutOffsetMs = durationMs(action.grpcTimeoutOffset, join(path, 'grpc_timeout_offset'), report);
  return { ...(maxGrpcTimeoutMs !== undefined && { maxGrpcTimeoutMs }), ...(grpcTimeoutOffsetMs !== undefined && { grpcTimeoutOffsetMs }) };
}

function decodeRedirect(action: RedirectAction, path: string, report: Report): RedirectConfig {
  report.check(redirectFields, action, path);
  const { schemeRewriteSpecifier: scheme, pathRewriteSpecifier: rewrite } = action;
  if (action.portRedirect > 65_535) report.add(join(path, 'port_redirect'), 'must be 0 to 65535');
  return {
    status: { [RedirectCode.MOVED_PERMANENTLY]: 301, [RedirectCode.FOUND]: 302, [RedirectCode.SEE_OTHER]: 303, [RedirectCode.TEMPORARY_REDIRECT]: 307, [RedirectCode.PERMANENT_REDIRECT]: 308 }[action.responseCode] ?? 301,
    https: scheme.case === 'httpsRedirect' && scheme.value,
    ...(scheme.case === 'schemeRedirect' && scheme.value !== '' && { scheme: scheme.value }),
    ...(action.hostRedirect !== '' && { host: action.hostRedirect }),
    ...(action.portRedirect !== 0 && { port: action.portRedirect }),
    ...(rewrite.case === 'pathRewrite' && rewrite.value !== '' && { pathFormat: rewrite.value }),
    ...(rewrite.case === 'pathRedirect' && rewrite.value !== '' && { path: rewrite.value }),
    ...(rewrite.case === 'prefixRewrite' && { prefixRewrite: rewrite.value }),
    ...(rewrite.case === 'regexRewrite' && { regexRewrite: decodeRegexRewrite(rewrite.value, join(path, 'regex_rewrite'), report) }),
    stripQuery: action.stripQuery,
  };
}

function decodeDirectResponse(action: DirectResponseAction, path: string, maxBodySize: number, report: Report): RouteActionConfig {
  report.check(directFields, action, path);
  if (action.status < 200 || action.status > 599) report.add(join(path, 'status'), 'must be 200 to 599');
  const body = directBody(action, join(path, 'body'), report);
  if (body.length > maxBodySize) report.add(join(path, 'body'), `has ${body.length} bytes, more than max_direct_response_body_size_bytes (${maxBodySize})`);
  const bodyFormat = action.bodyFormat && decodeBodyFormat(action.bodyFormat, join(path, 'body_format'), report);
  return { kind: 'direct-response', status: action.status, body, ...(bodyFormat !== undefined && { bodyFormat: { text: bodyFormat, missing: action.bodyFormat?.omitEmptyValues ? '' : '-', contentType: action.bodyFormat?.contentType ?? '' } }) };
}

function directBody({ body }: DirectResponseAction, path: string, report: Report): Uint8Array {
  if (!body) return new Uint8Array();
  switch (body.specifier.case) {
    case 'inlineString':
      return Buffer.from(body.specifier.value);
    case 'inlineBytes':
      return body.specifier.value;
    default:
      report.add(path, 'inline_string or inline_bytes is required');
      return new Uint8Array();
  }
}

/** A text with formatters. */
function decodeBodyFormat(format: SubstitutionFormatString, path: string, report: Report): string {
  report.check(formatFields, format, path);
  const { format: specifier } = format;
  if (specifier.case === 'textFormat') return specifier.value;
  if (specifier.case === 'textFormatSource' && specifier.value.specifier.case === 'inlineString') return specifier.value.specifier.value;
  report.add(path, 'text_format_source.inline_string is required');
  return '';
}
