import { packAny } from '@weft/xds-api';
import { RoutingPriority } from '@weft/xds-api/core';
import { HTTPFaultSchema } from '@weft/xds-api/filter-fault';
import type { Any } from '@weft/xds-api/protobuf/wkt';
import {
  FilterConfigSchema, OmitCanaryHostsPredicateSchema, OmitHostMetadataConfigSchema, PreviousHostsPredicateSchema, PreviousPrioritiesConfigSchema, RetryPolicy_ResetHeaderFormat, RetryPolicySchema, RouteConfigurationSchema,
} from '@weft/xds-api/route';
import { describe, expect, it } from 'vitest';
import { disabledFilter, enabledFilter } from '../filter/filter-override.js';
import type { RouteActionConfig, RouteConfigurationConfig } from './route-config.js';
import { RouteTable } from '../route/route-table.js';
import { requestHead, streamInfo } from '../route/test-support.js';
import { encode, problemsOf, route, routes, toCluster, types } from './testing.js';

type Value = NonNullable<(typeof toCluster)['value']>;
/** A route whose RouteAction has these fields too. */
const forward = (init: object) => route({ action: { case: 'route', value: { ...(toCluster.value as Value), ...init } as never } });
const weighted = (clusters: object[], init: object = {}) => forward({ clusterSpecifier: { case: 'weightedClusters', value: { clusters, ...init } } });
const exact = (value: string) => ({ matchPattern: { case: 'exact', value } }) as const;
const match = (init: object) => route({ match: { pathSpecifier: { case: 'prefix', value: '' }, ...init } as never });
const seconds = (value: number) => ({ seconds: BigInt(value) });
const hosts = (virtualHosts: object[]) => encode(RouteConfigurationSchema, { name: 'routes', virtualHosts: virtualHosts as never });
const at = 'virtual_hosts[0].routes[0]';

const compileRoutes = (resource: RouteConfigurationConfig) => new RouteTable(resource).select(requestHead('/'), streamInfo())!.bufferLimitBytes;

function actionOf(init: object): Extract<RouteActionConfig, { kind: 'route' }> {
  const { action } = types.routes.decode(routes([forward(init)])).resource.virtualHosts[0]!.routes[0]!;
  if (action.kind !== 'route') throw new Error(action.kind);
  return action;
}

describe('route configurations', () => {
  it('have Envoy\'s defaults', () => {
    const { name, resource } = types.routes.decode(routes([route()]));
    expect(name).toBe('routes');
    expect(resource).toMatchObject({ ignorePortInHostMatching: false, maxDirectResponseBodySize: 4096, mostSpecificHeaderMutationsWins: false });
    expect(resource.virtualHosts[0]!.routes[0]).toMatchObject({
      match: { path: { kind: 'prefix', value: '', caseSensitive: true }, grpc: false },
      action: { kind: 'route', cluster: { kind: 'cluster', name: 'c' }, timeoutMs: 15_000, clusterNotFoundStatus: 503, priority: 'default', mirrors: [], hashPolicies: [] },
    });
    expect(Object.isFrozen(resource.virtualHosts[0]!.routes[0]!.action)).toBe(true);
  });

  it('decode what a route asks for', () => {
    expect(actionOf({
      timeout: seconds(0), idleTimeout: seconds(3), priority: RoutingPriority.HIGH, prefixRewrite: '/x', hostRewriteSpecifier: { case: 'autoHostRewrite', value: { value: true } },
      maxStreamDuration: { maxStreamDuration: seconds(1), grpcTimeoutHeaderMax: seconds(0) },
      requestMirrorPolicies: [{ cluster: 'm', runtimeFraction: { defaultValue: { numerator: 5, denominator: 1 } } }],
      hashPolicy: [{ policySpecifier: { case: 'header', value: { headerName: 'X-User' } }, terminal: true }, { policySpecifier: { case: 'connectionProperties', value: { sourceIp: true } } }],
      metadataMatch: { filterMetadata: { 'envoy.lb': { version: 'v1' } } },
    })).toMatchObject({
      timeoutMs: 0, idleTimeoutMs: 3000, priority: 'high', prefixRewrite: '/x', hostRewrite: { kind: 'auto' }, maxStreamDuration: { maxMs: 1000, grpcTimeoutHeaderMaxMs: 0 },
      mirrors: [{ cluster: 'm', fraction: { numerator: 5, denominator: 10_000 } }], hashPolicies: [{ kind: 'header', name: 'x-user', terminal: true }, { kind: 'source-ip' }], metadataMatch: { version: 'v1' },
    });
  });

  it('hold values of headers as their bytes in UTF-8', () => {
    const { resource } = types.routes.decode(routes([route({ requestHeadersToAdd: [{ header: { key: 'a', value: '\u00e9' } }] })]));
    expect(resource.virtualHosts[0]!.routes[0]!.mutations.request.add[0]!.value).toBe('\u00c3\u00a9');
  });

  it('say how much of a body may be kept', () => {
    const limits = (init: object, host: object = {}) => compileRoutes(types.routes.decode(hosts([{ name: 'v', domains: ['*'], routes: [{ ...(route() as object), ...init }], perRequestBufferLimitBytes: 7, ...host }])).resource);
    expect([limits({}), limits({ perRequestBufferLimitBytes: 8 })]).toEqual([7, 8]);
    expect(limits({ perRequestBufferLimitBytes: 8, requestBodyBufferLimit: 5_000_000_000n }, { requestBodyBufferLimit: 9n })).toBe(5_000_000_000);
    expect(limits({ perRequestBufferLimitBytes: 8 }, { requestBodyBufferLimit: 0n })).toBe(0);
  });

  it('do not take a wrapped false for true', () => {
    expect(actionOf({ hostRewriteSpecifier: { case: 'autoHostRewrite', value: { value: false } } })).not.toHaveProperty('hostRewrite');
  });

  it('read retry policies as Envoy does, with spaces in retry_on and whole seconds', () => {
    expect(actionOf({ retryPolicy: {} }).retryPolicy).toMatchObject({ retryOn: [], numRetries: 1, backoff: { baseMs: 25, maxMs: 250 }, avoidPreviousHosts: false, hostSelectionAttempts: 1 });
    expect(actionOf({
      retryPolicy: {
        retryOn: 'cancelled, unavailable,,5xx', numRetries: 0, perTryTimeout: { nanos: 1e6 }, retryBackOff: { baseInterval: seconds(1) }, hostSelectionRetryMaxAttempts: 5n,
        retryHostPredicate: [{ name: 'p', configType: { case: 'typedConfig', value: packAny(PreviousHostsPredicateSchema, {}) } }],
      },
    }).retryPolicy).toMatchObject({ retryOn: ['cancelled', 'unavailable', '5xx'], numRetries: 0, perTryTimeoutMs: 1, backoff: { baseMs: 1000, maxMs: 10_000 }, avoidPreviousHosts: true, hostSelectionAttempts: 5 });
  });

  it('read the waits that servers ask for, predicates, priorities and hedging', () => {
    const typed = (name: string, value: Any) => ({ name, configType: { case: 'typedConfig' as const, value } });
    expect(actionOf({
      hedgePolicy: { hedgeOnPerTryTimeout: true },
      retryPolicyTypedConfig: packAny(RetryPolicySchema, {
        retryOn: '5xx',
        rateLimitedRetryBackOff: { resetHeaders: [{ name: 'Retry-After' }, { name: 'x-ratelimit-reset', format: RetryPolicy_ResetHeaderFormat.UNIX_TIMESTAMP }] },
        retryHostPredicate: [typed('c', packAny(OmitCanaryHostsPredicateSchema, {})), typed('m', packAny(OmitHostMetadataConfigSchema, { metadataMatch: { filterMetadata: { 'envoy.lb': { stage: 'old' } } } }))],
        retryPriority: typed('p', packAny(PreviousPrioritiesConfigSchema, { updateFrequency: 2 })),
      }),
    })).toMatchObject({
      hedgePolicy: { onPerTryTimeout: true },
      retryPolicy: {
        retryOn: ['5xx'], omitCanaryHosts: true, omitHostMetadata: [{ stage: 'old' }], previousPriorities: { updateFrequency: 2 },
        rateLimitedBackoff: { resetHeaders: [{ name: 'retry-after', format: 'seconds' }, { name: 'x-ratelimit-reset', format: 'unix-timestamp' }], maxMs: 300_000 },
      },
    });
  });

  it('leave clusters of weight 0 out, and total_weight', () => {
    const { action } = types.routes.decode(routes([weighted([{ name: 'a', weight: 1 }, { name: 'b', weight: 0 }, { name: 'c', weight: 3 }], { totalWeight: 100 })])).resource.virtualHosts[0]!.routes[0]!;
    expect(action).toMatchObject({ cluster: { kind: 'weighted', totalWeight: 4, clusters: [{ name: 'a', weight: 1 }, { name: 'c', weight: 3 }] } });
  });

  it('let mirrors of a more specific level replace the others', () => {
    const of = (route_: object[], host: object[]) => types.routes.decode(encode(RouteConfigurationSchema, {
      name: 'r', requestMirrorPolicies: [{ cluster: 'config' }],
      virtualHosts: [{ name: 'v', domains: ['*'], requestMirrorPolicies: host, routes: [forward({ requestMirrorPolicies: route_ })] }] as never,
    })).resource.virtualHosts[0]!.routes[0]!.action;
    expect(of([{ cluster: 'route' }], [{ cluster: 'host' }])).toMatchObject({ mirrors: [{ cluster: 'route' }] });
    expect(of([], [{ cluster: 'host' }])).toMatchObject({ mirrors: [{ cluster: 'host' }] });
    expect(of([], [])).toMatchObject({ mirrors: [{ cluster: 'config' }] });
  });

  it('keep a route that only servers can answer, so that it costs nobody else (grpc-js-xds 1.14.1: the process dies)', () => {
    const { resource } = types.routes.decode(routes([route({ action: { case: 'nonForwardingAction', value: {} } }), route()]));
    expect(resource.virtualHosts[0]!.routes.map(({ action }) => action.kind)).toEqual(['non-forwarding', 'route']);
  });

  it('read filter overrides through the filters, switched off and on too', () => {
    const wrapped = (init: object) => packAny(FilterConfigSchema, init);
    const { filterOverrides } = types.routes.decode(routes([route({
      typedPerFilterConfig: {
        fault: packAny(HTTPFaultSchema, { abort: { errorType: { case: 'httpStatus', value: 418 }, percentage: { numerator: 100 } } }),
        wrapped: wrapped({ config: packAny(HTTPFaultSchema, {}) }),
        off: wrapped({ disabled: true }),
        on: wrapped({}),
        optional: wrapped({ isOptional: true, config: { typeUrl: 'x/no.Body', value: new Uint8Array() } }),
      },
    })])).resource.virtualHosts[0]!.routes[0]!;
    expect([...filterOverrides.keys()]).toEqual(['fault', 'wrapped', 'off', 'on']);
    expect([filterOverrides.get('off'), filterOverrides.get('on')]).toEqual([disabledFilter, enabledFilter]);
    expect(problemsOf(types.routes, routes([route({ typedPerFilterConfig: { x: { typeUrl: 'x/no.Body', value: new Uint8Array() } } })]))).toEqual([`${at}.typed_per_filter_config["x"]: no filter reads no.Body`]);
  });

  it.each<[string, Uint8Array, string]>([
    ['without a name', encode(RouteConfigurationSchema, {}), 'name: must not be empty'],
    ['with a virtual host without domains', hosts([{ name: 'v' }]), 'virtual_hosts[0].domains: must not be empty'],
    ['with a star in the middle', hosts([{ name: 'v', domains: ['a*b'] }]), 'virtual_hosts[0].domains[0]: "a*b" is not a domain, *.suffix, prefix* or *'],
    ['with two stars', hosts([{ name: 'v', domains: ['*a*'] }]), 'virtual_hosts[0].domains[0]: "*a*" is not a domain, *.suffix, prefix* or *'],
    ['with an empty domain', hosts([{ name: 'v', domains: [''] }]), 'virtual_hosts[0].domains[0]: "" is not a domain, *.suffix, prefix* or *'],
    ['with a domain twice', hosts([{ name: 'v', domains: ['a'] }, { name: 'w', domains: ['A'] }]), 'virtual_hosts[1].domains[0]: "A" is used twice'],
    ['with a virtual host twice', hosts([{ name: 'v', domains: ['a'] }, { name: 'v', domains: ['b'] }]), 'virtual_hosts[1].name: "v" is used twice'],
    ['with more virtual hosts on demand', routes([], { vhds: {} }), 'vhds: not supported: virtual hosts come with their RouteConfiguration'],
    ['with a route that matches nothing', routes([{ action: toCluster }]), `${at}.match: is required`],
    ['without a path', routes([match({ pathSpecifier: { case: undefined } })]), `${at}.match: one of prefix, path, safe_regex, path_separated_prefix, path_match_policy, connect_matcher is required`],
    ['with metadata matchers', routes([match({ dynamicMetadata: [{}] })]), `${at}.match.dynamic_metadata[0].filter: must not be empty`],
    ['without an action', routes([{ match: { pathSpecifier: { case: 'prefix', value: '' } } }]), `${at}: one of route, redirect, direct_response, non_forwarding_action is required`],
    ['with a header without a name', routes([match({ headers: [{}] })]), `${at}.match.headers[0].name: must not be empty`],
    ['with an empty header prefix', routes([match({ headers: [{ name: 'a', headerMatchSpecifier: { case: 'prefixMatch', value: '' } }] })]), `${at}.match.headers[0].prefix_match: must not be empty`],
    ['with an empty range', routes([match({ headers: [{ name: 'a', headerMatchSpecifier: { case: 'rangeMatch', value: { start: 2n, end: 1n } } }] })]), `${at}.match.headers[0].range_match: end must not be less than start`],
    ['with an empty string matcher', routes([match({ headers: [{ name: 'a', headerMatchSpecifier: { case: 'stringMatch', value: {} } }] })]), `${at}.match.headers[0].string_match: one of exact, prefix, suffix, contains, safe_regex is required`],
    ['with absent query parameters', routes([match({ queryParameters: [{ name: 'a', queryParameterMatchSpecifier: { case: 'presentMatch', value: false } }] })]), `${at}.match.query_parameters[0].present_match: false is not supported`],
    ['with an unknown denominator', routes([match({ runtimeFraction: { defaultValue: { numerator: 1, denominator: 7 } } })]), `${at}.match.runtime_fraction.default_value.denominator: unknown value 7`],
    ['without a cluster', routes([forward({ clusterSpecifier: { case: undefined } })]), `${at}.route: one of cluster, cluster_header, weighted_clusters is required`],
    ['with a cluster plugin', routes([forward({ clusterSpecifier: { case: 'clusterSpecifierPlugin', value: 'p' } })]), `${at}.route.cluster_specifier_plugin: not supported: cluster_header, set by a filter, chooses a cluster for each request`],
    ['with weights that are all 0', routes([weighted([{ name: 'a', weight: 0 }])]), `${at}.route.weighted_clusters: the weights must sum to 1 to 4294967295, they sum to 0`],
    ['with weights beyond uint32', routes([weighted([{ name: 'a', weight: 4_294_967_295 }, { name: 'b', weight: 1 }])]), `${at}.route.weighted_clusters: the weights must sum to 1 to 4294967295, they sum to 4294967296`],
    ['with a weight that is missing', routes([weighted([{ name: 'a' }])]), `${at}.route.weighted_clusters.clusters[0].weight: is required`],
    ['with a weighted cluster without a name', routes([weighted([{ weight: 1 }])]), `${at}.route.weighted_clusters.clusters[0]: one of name, cluster_header is required`],
    ['with a negative timeout', routes([forward({ timeout: seconds(-1) })]), `${at}.route.timeout: must be a duration of 0 s to 315576000000 s`],
    ['with a timeout beyond all measure', routes([forward({ timeout: { seconds: 10n ** 18n } })]), `${at}.route.timeout: must be a duration of 0 s to 315576000000 s`],
    ['with a back-off without a base', routes([forward({ retryPolicy: { retryBackOff: {} } })]), `${at}.route.retry_policy.retry_back_off.base_interval: is required`],
    ['with a back-off of 0', routes([forward({ retryPolicy: { retryBackOff: { baseInterval: seconds(0) } } })]), `${at}.route.retry_policy.retry_back_off.base_interval: must be greater than 0`],
    ['with a back-off that shrinks', routes([forward({ retryPolicy: { retryBackOff: { baseInterval: seconds(2), maxInterval: seconds(1) } } })]), `${at}.route.retry_policy.retry_back_off.max_interval: must not be less than base_interval`],
    ['with a retry priority', routes([forward({ retryPolicy: { retryPriority: { name: 'x' } } })]), `${at}.route.retry_policy.retry_priority: not supported`],
    ['with a retry priority of another kind', routes([forward({ retryPolicy: { retryPriority: { name: 'x', configType: { case: 'typedConfig', value: packAny(PreviousHostsPredicateSchema, {}) } } } })]), `${at}.route.retry_policy.retry_priority.typed_config: not supported`],
    ['with previous priorities that never change', routes([forward({ retryPolicy: { retryPriority: { name: 'x', configType: { case: 'typedConfig', value: packAny(PreviousPrioritiesConfigSchema, {}) } } } })]), `${at}.route.retry_policy.retry_priority.typed_config.update_frequency: must be greater than 0`],
    ['with a host predicate of another kind', routes([forward({ retryPolicy: { retryHostPredicate: [{ name: 'x', configType: { case: 'typedConfig', value: packAny(PreviousPrioritiesConfigSchema, {}) } }] } })]), `${at}.route.retry_policy.retry_host_predicate[0]: not supported`],
    ['with rate-limited back-off without headers', routes([forward({ retryPolicy: { rateLimitedRetryBackOff: {} } })]), `${at}.route.retry_policy.rate_limited_retry_back_off.reset_headers: must not be empty`],
    ['with a reset header of no name', routes([forward({ retryPolicy: { rateLimitedRetryBackOff: { resetHeaders: [{ name: '' }] } } })]), `${at}.route.retry_policy.rate_limited_retry_back_off.reset_headers[0].name: must not be empty`],
    ['with two retry policies', routes([forward({ retryPolicy: {}, retryPolicyTypedConfig: packAny(RetryPolicySchema, {}) })]), `${at}.route.retry_policy_typed_config: cannot stand beside retry_policy`],
    ['with a retry policy of another kind', routes([forward({ retryPolicyTypedConfig: packAny(PreviousHostsPredicateSchema, {}) })]), `${at}.route.retry_policy_typed_config: must be envoy.config.route.v3.RetryPolicy, is envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate`],
    ['with hedging that starts with nothing', routes([forward({ hedgePolicy: { initialRequests: 0 } })]), `${at}.route.hedge_policy.initial_requests: must be at least 1`],
    ['with two path rewrites', routes([forward({ prefixRewrite: '/', regexRewrite: { pattern: { regex: 'a' } } })]), `${at}.route.regex_rewrite: cannot stand beside prefix_rewrite`],
    ['with an empty hash policy', routes([forward({ hashPolicy: [{}] })]), `${at}.route.hash_policy[0]: one of header, cookie, connection_properties, query_parameter, filter_state is required`],
    ['with a direct response of no status', routes([route({ action: { case: 'directResponse', value: { status: 99 } } })]), `${at}.direct_response.status: must be 200 to 599`],
    ['with a direct response from a file', routes([route({ action: { case: 'directResponse', value: { status: 200, body: { specifier: { case: 'filename', value: '/etc/passwd' } } } } })]), `${at}.direct_response.body: inline_string or inline_bytes is required`],
    ['with a direct response that is too long', routes([route({ action: { case: 'directResponse', value: { status: 200, body: { specifier: { case: 'inlineString', value: 'abc' } } } } })], { maxDirectResponseBodySizeBytes: 2 }), `${at}.direct_response.body: has 3 bytes, more than max_direct_response_body_size_bytes (2)`],
    ['that change pseudo-headers', routes([route({ requestHeadersToRemove: [':path'] })]), `${at}.request_headers_to_remove[0]: ":path" is not a header that can be changed`],
    ['that change the framing', routes([route({ responseHeadersToAdd: [{ header: { key: 'Content-Length', value: '1' } }] })]), `${at}.response_headers_to_add[0].header.key: content-length must not be changed`],
    ['that smuggle a header', routes([route({ requestHeadersToAdd: [{ header: { key: 'a', value: 'b\r\nc: d' } }] })]), `${at}.request_headers_to_add[0].header.value: must not hold CR, LF or NUL`],
  ])('are refused %s', (_what, bytes, problem) => {
    expect(problemsOf(types.routes, bytes)).toContain(problem);
  });

  it('are refused for patterns that RE2 does not take, wherever they stand', () => {
    const bad = { regex: '(?=x)' };
    const bytes = routes([match({ pathSpecifier: { case: 'safeRegex', value: bad }, headers: [{ name: 'a', headerMatchSpecifier: { case: 'safeRegexMatch', value: bad } }, { name: 'a', headerMatchSpecifier: { case: 'stringMatch', value: { matchPattern: { case: 'safeRegex', value: bad } } } }] })]);
    expect(problemsOf(types.routes, bytes).map((problem) => problem.split(': not a RE2 pattern')[0])).toEqual([`${at}.match.safe_regex.regex`, `${at}.match.headers[0].safe_regex_match.regex`, `${at}.match.headers[1].string_match.safe_regex.regex`]);
  });

  it('are refused for what only shows when they are compiled', () => {
    const [problem] = problemsOf(types.routes, routes([forward({ regexRewrite: { pattern: { regex: 'a' }, substitution: '\\7' } })]));
    expect(problem).toMatch(/virtual_hosts\[0\].routes\[0\].*group 7/);
  });

  it('list no more problems than a person reads', () => {
    const problems = problemsOf(types.routes, routes(Array.from({ length: 1000 }, () => match({ headers: [{ name: '', headerMatchSpecifier: { case: 'stringMatch', value: exact('') } }] }))));
    expect(problems).toHaveLength(21);
    expect(problems.at(-1)).toBe(': and 980 more');
  });
});
