// RouteConfiguration: virtual hosts, routes and what they match.
import { fromBinary } from '@weft/xds-api/protobuf';
import { typeUrl } from '@weft/xds-api';
import {
  RouteConfigurationSchema,
  RouteSchema,
  VirtualHost_TlsRequirementType as TlsRequirement,
  VirtualHostSchema,
  type Route,
  type RouteConfiguration,
  type VirtualHost,
} from '@weft/xds-api/route';
import { RouteTable } from '../route/route-table.js';
import type { ResourceType } from '../xds/resource-type.js';
import { deepFreeze } from './freeze.js';
import { decodeHeaderMutations } from './header-mutation.js';
import { decodeFilterOverrides, type HttpFilterRegistry } from './http-filter.js';
import { olderCors } from './older-cors.js';
import { decodeRateLimits } from './rate-limit.js';
import { join, knownFields, Report } from './report.js';
import { decodeHedgePolicy, decodeRetryPolicies } from './retry-policy.js';
import { decodeRouteAction, type Inherited } from './route-action.js';
import { decodeRouteTree } from './route-tree.js';
import { decodeRouteMatch } from './route-match.js';
import type { RouteConfigurationConfig, RouteEntryConfig, VirtualHostConfig } from './route-config.js';
import { filterMetadata } from './value.js';

const mutationFields = ['request_headers_to_add', 'request_headers_to_remove', 'response_headers_to_add', 'response_headers_to_remove'];
const configurationFields = knownFields(RouteConfigurationSchema, ['name', 'virtual_hosts', ...mutationFields, 'most_specific_header_mutations_wins', 'max_direct_response_body_size_bytes', 'request_mirror_policies', 'ignore_port_in_host_matching', 'ignore_path_parameters_in_path_matching', 'typed_per_filter_config'], ['validate_clusters', 'metadata'], ['vhds']);
const virtualHostFields = knownFields(VirtualHostSchema, ['name', 'domains', 'routes', ...mutationFields, 'typed_per_filter_config', 'include_request_attempt_count', 'include_attempt_count_in_response', 'include_is_timeout_retry_header', 'retry_policy', 'retry_policy_typed_config', 'hedge_policy', 'request_mirror_policies', 'per_request_buffer_limit_bytes', 'request_body_buffer_limit', 'rate_limits', 'matcher', 'require_tls', 'cors'], ['virtual_clusters', 'metadata']);
const routeFields = knownFields(RouteSchema, ['name', 'match', 'route', 'redirect', 'direct_response', 'non_forwarding_action', 'metadata', 'typed_per_filter_config', 'per_request_buffer_limit_bytes', 'request_body_buffer_limit', ...mutationFields], ['decorator', 'tracing', 'stat_prefix'], ['filter_action']);

/** RDS. Filter overrides are parsed by the registry's factories. */
export function routeConfigurationType({ filters }: { filters: HttpFilterRegistry }): ResourceType<RouteConfigurationConfig> {
  return {
    typeUrl: typeUrl(RouteConfigurationSchema),
    name: 'RouteConfiguration',
    fullState: false,
    decode(value) {
      const message = fromBinary(RouteConfigurationSchema, value);
      const report = new Report();
      if (message.name === '') report.add('name', 'must not be empty');
      const resource = decodeRouteConfiguration(message, '', filters, report);
      report.finish(`RouteConfiguration ${message.name}`);
      return { name: message.name, resource: deepFreeze(resource) };
    },
  };
}

export function decodeRouteConfiguration(message: RouteConfiguration, path: string, registry: HttpFilterRegistry, report: Report): RouteConfigurationConfig {
  report.check(configurationFields, message, path);
  if (message.vhds) report.add(join(path, 'vhds'), 'not supported: virtual hosts come with their RouteConfiguration');
  const before = report.problems.length;
  const inherited: Inherited = {
    mirrors: message.requestMirrorPolicies,
    mirrorsPath: join(path, 'request_mirror_policies'),
    maxDirectResponseBodySize: message.maxDirectResponseBodySizeBytes ?? 4096,
  };
  const config: RouteConfigurationConfig = {
    name: message.name,
    virtualHosts: message.virtualHosts.map((virtualHost, i) => decodeVirtualHost(virtualHost, join(path, `virtual_hosts[${i}]`), inherited, registry, report)),
    mutations: decodeHeaderMutations(message, path, report),
    mostSpecificHeaderMutationsWins: message.mostSpecificHeaderMutationsWins,
    ignorePortInHostMatching: message.ignorePortInHostMatching,
    ...(message.ignorePathParametersInPathMatching && { ignorePathParameters: true as const }),
    maxDirectResponseBodySize: inherited.maxDirectResponseBodySize,
    filterOverrides: decodeFilterOverrides(message.typedPerFilterConfig, registry, join(path, 'typed_per_filter_config'), report),
  };
  checkVirtualHosts(config, path, report);
  // Formatters, templates and substitutions are checked where they are compiled: a table that cannot be built must be NACKed, not fail later.
  if (report.problems.length === before) report.attempt(path, () => void new RouteTable(config));
  return config;
}

function checkVirtualHosts({ virtualHosts }: RouteConfigurationConfig, path: string, report: Report): void {
  const names = new Set<string>();
  const domains = new Set<string>();
  virtualHosts.forEach((virtualHost, i) => {
    const at = join(path, `virtual_hosts[${i}]`);
    if (names.has(virtualHost.name)) report.add(join(at, 'name'), `${JSON.stringify(virtualHost.name)} is used twice`);
    names.add(virtualHost.name);
    if (virtualHost.domains.length === 0) report.add(join(at, 'domains'), 'must not be empty');
    virtualHost.domains.forEach((domain, j) => {
      const key = domain.toLowerCase();
      const star = domain.indexOf('*');
      const valid = domain !== '' && (star === -1 || ((star === 0 || star === domain.length - 1) && domain.indexOf('*', star + 1) === -1));
      if (!valid) report.add(`${at}.domains[${j}]`, `${JSON.stringify(domain)} is not a domain, *.suffix, prefix* or *`);
      else if (domains.has(key)) report.add(`${at}.domains[${j}]`, `${JSON.stringify(domain)} is used twice`);
      domains.add(key);
    });
  });
}

function decodeVirtualHost(virtualHost: VirtualHost, path: string, inherited: Inherited, registry: HttpFilterRegistry, report: Report): VirtualHostConfig {
  report.check(virtualHostFields, virtualHost, path);
  const own = virtualHost.requestMirrorPolicies.length > 0
    ? { ...inherited, mirrors: virtualHost.requestMirrorPolicies, mirrorsPath: join(path, 'request_mirror_policies') }
    : inherited;
  const routes = virtualHost.routes.flatMap((route, i) => decodeRoute(route, `${path}.routes[${i}]`, own, registry, report) ?? []);
  if (virtualHost.matcher && virtualHost.routes.length > 0) report.add(join(path, 'matcher'), 'cannot stand beside routes');
  const matcher = virtualHost.matcher && decodeRouteTree(virtualHost.matcher, join(path, 'matcher'), routes, (route, at) => decodeRoute(route, at, own, registry, report), report);
  const requireTls = tlsRequirements[virtualHost.requireTls];
  return {
    name: virtualHost.name,
    domains: virtualHost.domains,
    routes,
    ...(matcher && { matcher }),
    ...(requireTls && { requireTls }),
    mutations: decodeHeaderMutations(virtualHost, path, report),
    ...decodeRetryPolicies(virtualHost, path, report),
    ...decodeHedgePolicy(virtualHost.hedgePolicy, join(path, 'hedge_policy'), report),
    includeRequestAttemptCount: virtualHost.includeRequestAttemptCount,
    ...(virtualHost.rateLimits.length > 0 && { rateLimits: decodeRateLimits(virtualHost.rateLimits, join(path, 'rate_limits'), report) }),
    includeAttemptCountInResponse: virtualHost.includeAttemptCountInResponse,
    includeIsTimeoutRetryHeader: virtualHost.includeIsTimeoutRetryHeader,
    ...bufferLimits(virtualHost.perRequestBufferLimitBytes, virtualHost.requestBodyBufferLimit),
    filterOverrides: decodeFilterOverrides(virtualHost.typedPerFilterConfig, registry, join(path, 'typed_per_filter_config'), report, olderCors(virtualHost.cors, join(path, 'cors'))),
  };
}

const tlsRequirements: Partial<Record<TlsRequirement, VirtualHostConfig['requireTls']>> = { [TlsRequirement.ALL]: 'all', [TlsRequirement.EXTERNAL_ONLY]: 'external' };

function bufferLimits(bytes: number | undefined, bodyBytes: bigint | undefined): Pick<RouteEntryConfig, 'bufferLimitBytes' | 'bodyBufferLimitBytes'> {
  return { ...(bytes !== undefined && { bufferLimitBytes: bytes }), ...(bodyBytes !== undefined && { bodyBufferLimitBytes: Number(bodyBytes) }) };
}

function decodeRoute(route: Route, path: string, inherited: Inherited, registry: HttpFilterRegistry, report: Report): RouteEntryConfig | undefined {
  report.check(routeFields, route, path);
  if (!route.match) report.add(join(path, 'match'), 'is required');
  const match = route.match && decodeRouteMatch(route.match, join(path, 'match'), report);
  const action = decodeRouteAction(route, path, inherited, registry, report);
  const mutations = decodeHeaderMutations(route, path, report);
  const cors = route.action.case === 'route' ? olderCors(route.action.value.cors, join(path, 'route.cors')) : undefined;
  const filterOverrides = decodeFilterOverrides(route.typedPerFilterConfig, registry, join(path, 'typed_per_filter_config'), report, cors);
  return match && action && {
    name: route.name, match, action, mutations, filterOverrides, metadata: filterMetadata(route.metadata),
    ...bufferLimits(route.perRequestBufferLimitBytes, route.requestBodyBufferLimit),
  };
}
