// What routes do.
import type { JsonObject } from '../model.js';
import { failing, forwardable } from './clusters.js';
import type { Draw } from './draw.js';
import { headerMatcher } from './matchers.js';
import { headerMutations } from './mutations.js';
import { regexes } from './values.js';

/** What no path matcher extension may be combined with is taken out of the action (Envoy refuses it). */
export function action(draw: Draw, match: JsonObject): JsonObject {
  const made = anyAction(draw);
  const policy = match['path_match_policy'] as { typed_config: { path_template: string } } | undefined;
  if (!policy) return made;
  for (const part of Object.values(made) as JsonObject[]) delete part['prefix_rewrite'];
  const route = made['route'] as JsonObject | undefined;
  if (route && !('regex_rewrite' in route) && draw.chance(0.5)) route['path_rewrite_policy'] = templateRewrite(draw, policy.typed_config.path_template);
  return made;
}

function templateRewrite(draw: Draw, template: string): JsonObject {
  const variables = [...template.matchAll(/\{(\w+)/g)].map(([, name]) => `{${name}}`);
  const rewrite = `/${draw.some(['new', ...variables, ...variables.map((name) => `x-${name}`)], 1, 3).join('/')}`;
  return { name: 'template', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig', path_template_rewrite: rewrite } };
}

function anyAction(draw: Draw): JsonObject {
  return draw.of<JsonObject>([8, () => ({ route: forward(draw) })], [1.5, () => ({ redirect: redirect(draw) })], [1, () => ({ direct_response: directResponse(draw) })]);
}

function forward(draw: Draw): JsonObject {
  const specifier = clusterSpecifier(draw);
  return {
    ...specifier,
    ...draw.maybe(String(specifier['cluster']).startsWith('subset') ? 0.8 : 0.05, () => ({ metadata_match: subset(draw) })),
    ...draw.maybe(0.1, () => ({ internal_redirect_policy: internalRedirect(draw) })),
    ...(specifier['cluster'] === 'full' && draw.maybe(0.5, () => ({ request_mirror_policies: [{ cluster: 'one' }] }))),
    ...draw.maybe(0.35, () => pathRewrite(draw)),
    ...draw.maybe(0.3, () => hostRewrite(draw)),
    ...draw.maybe(0.15, () => ({ append_x_forwarded_host: true })),
    ...draw.maybe(0.35, () => ({ retry_policy: retryPolicy(draw) })),
    ...draw.maybe(0.4, () => ({ hash_policy: draw.list(1, 3, () => hashPolicy(draw)) })),
    ...draw.maybe(0.1, () => ({ request_mirror_policies: [{ cluster: draw.pick(['one', 'two', 'named', 'empty', 'missing']), ...draw.maybe(0.5, () => ({ runtime_fraction: { default_value: { numerator: draw.pick([0, 100]) } } })) }] })),
    ...draw.maybe(0.1, () => ({ cluster_not_found_response_code: draw.pick(['NOT_FOUND', 'INTERNAL_SERVER_ERROR', 'SERVICE_UNAVAILABLE']) })),
    ...draw.maybe(0.2, () => ({ timeout: draw.pick(['0s', '5s', '30s', '1s']) })),
    ...draw.maybe(0.05, () => ({ priority: 'HIGH' })),
  };
}

function subset(draw: Draw): JsonObject {
  return { filter_metadata: { 'envoy.lb': { version: draw.pick(['v1', 'v2', 'v3', 'v4']), ...draw.maybe(0.3, () => ({ stage: draw.pick(['canary', 'production']) })) } } };
}

function internalRedirect(draw: Draw): JsonObject {
  return {
    ...draw.maybe(0.5, () => ({ max_internal_redirects: draw.int(1, 3) })),
    ...draw.maybe(0.7, () => ({ redirect_response_codes: draw.some([301, 302, 303, 307, 308], 2, 4) })),
    ...draw.maybe(0.5, () => ({ allow_cross_scheme_redirect: true })),
    ...draw.maybe(0.3, () => ({ response_headers_to_copy: draw.some(['x-resp', 'x-a', 'x-from'], 1, 2) })),
  };
}

function clusterSpecifier(draw: Draw): JsonObject {
  return draw.of<JsonObject>(
    [8, () => ({ cluster: draw.pick(forwardable) })],
    [1.2, () => ({ cluster: draw.pick([...failing, 'no-retry']) })],
    [2, () => ({ weighted_clusters: { header_name: 'x-num', clusters: draw.list(1, 4, () => ({ name: draw.pick(forwardable), weight: draw.int(0, 20), ...headerMutations(draw, 0.2), ...draw.maybe(0.1, () => ({ metadata_match: subset(draw) })) })).concat([{ name: 'one', weight: 1 }]) } })],
    [1, () => ({ cluster_header: draw.pick(['x-cluster', 'X-Cluster', 'x-a', ':authority']) })],
  );
}

function regexRewrite(draw: Draw): JsonObject {
  return { pattern: { regex: draw.pick([...regexes, '/', 'a', '^/([^/]*)', '([a-z]+)/([a-z0-9]+)', '(a)|(b)']) }, substitution: draw.pick(['/n', '/\\0', '', '-', '/x/y', '\\\\']) };
}

export function pathRewrite(draw: Draw): JsonObject {
  return draw.of<JsonObject>(
    [20, () => ({ prefix_rewrite: draw.pick(['/', '/new', '/new/', '/n%20w', '/q?z=1']) })],
    [20, () => ({ regex_rewrite: draw.pick(slashKept) })],
    // What need not begin with a slash any more.
    [1, () => draw.pick<JsonObject>([{ prefix_rewrite: 'x' }, { regex_rewrite: regexRewrite(draw) }])],
  );
}

const slashKept = ([['a', '-'], ['/a', '/n'], ['^/([^/]*)', '/\\1-x'], ['b|c', ''], ['[0-9]+', 'N'], ['/(a|b)/', '/x/\\1/'], ['(.*)', '\\1'], ['$', '/end'], ['([a-z]+)/([a-z0-9]+)', '\\2/\\1'], ['(?i)API', '\\0\\0'], ['%..', '\\\\']] as const).map(([regex, substitution]): JsonObject => ({ pattern: { regex }, substitution }));

function hostRewrite(draw: Draw): JsonObject {
  return draw.of<JsonObject>(
    [2, () => ({ host_rewrite_literal: draw.pick(['new.test', 'new.test:81', 'New.Test']) })],
    [1, () => ({ auto_host_rewrite: draw.chance(0.8) })],
    [1, () => ({ host_rewrite_header: draw.pick(['x-host', 'X-A', ':path']) })],
    [1, () => ({ host_rewrite_path_regex: regexRewrite(draw) })],
  );
}

function redirect(draw: Draw): JsonObject {
  return {
    ...draw.maybe(0.4, () => ({ host_redirect: draw.pick(['new.test', 'new.test:8443', 'NEW.test']) })),
    ...draw.maybe(0.3, () => ({ port_redirect: draw.pick([80, 443, 8080]) })),
    ...draw.maybe(0.3, () => draw.pick<JsonObject>([{ https_redirect: true }, { scheme_redirect: 'https' }, { scheme_redirect: 'http' }, { scheme_redirect: 'ftp' }])),
    ...draw.maybe(0.6, () => draw.pick<JsonObject>([{ path_redirect: draw.pick(['/there', '/there?own=1', 'there', '/']) }, { prefix_rewrite: draw.pick(['/new', '/', '/new/', 'x']) }, { regex_rewrite: regexRewrite(draw) }])),
    ...draw.maybe(0.4, () => ({ response_code: draw.pick(['MOVED_PERMANENTLY', 'FOUND', 'SEE_OTHER', 'TEMPORARY_REDIRECT', 'PERMANENT_REDIRECT']) })),
    ...draw.maybe(0.3, () => ({ strip_query: true })),
  };
}

function directResponse(draw: Draw): JsonObject {
  return { status: draw.pick([200, 201, 204, 304, 400, 404, 418, 503, 599]), ...draw.maybe(0.7, () => ({ body: { inline_string: draw.pick(['hello', '{"a":1}', 'x'.repeat(300)]) } })) };
}

const words = ['5xx', 'gateway-error', 'reset', 'connect-failure', 'retriable-4xx', 'refused-stream', 'retriable-status-codes', 'retriable-headers', 'envoy-ratelimited', 'reset-before-request', 'cancelled', 'deadline-exceeded', 'internal', 'resource-exhausted', 'unavailable', 'unknown-word'];

export function retryPolicy(draw: Draw): JsonObject {
  return {
    retry_on: draw.some(words, 1, 4).join(','),
    ...draw.maybe(0.8, () => ({ num_retries: draw.int(0, 3) })),
    ...draw.maybe(0.5, () => ({ retriable_status_codes: draw.some([200, 404, 409, 418, 429, 500, 503], 1, 3) })),
    ...draw.maybe(0.4, () => ({ retriable_headers: draw.list(1, 2, () => headerMatcher(draw, ['x-resp', 'x-retry', ':status', 'x-from', 'x-a'])) })),
    ...draw.maybe(0.15, () => ({ retriable_request_headers: draw.list(1, 2, () => headerMatcher(draw, ['x-a', ':method', 'x-b'])) })),
    ...draw.maybe(0.2, () => ({ retry_host_predicate: [{ name: 'envoy.retry_host_predicates.previous_hosts', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate' } }], host_selection_retry_max_attempts: draw.pick(['0', '3']) })),
    retry_back_off: { base_interval: '0.001s', max_interval: '0.002s' },
  };
}

function hashPolicy(draw: Draw): JsonObject {
  return {
    ...draw.of<JsonObject>(
      [4, () => ({ header: { header_name: draw.pick(['x-user', 'x-a', 'X-Num', ':path', ':authority', ':method']), ...draw.maybe(0.2, () => ({ regex_rewrite: regexRewrite(draw) })) } })],
      [2, () => ({ query_parameter: { name: draw.pick(['q', 'p', 'x']) } })],
      [2, () => ({ cookie: { name: draw.pick(['sid', 'z']) } })],
    ),
    ...draw.maybe(0.3, () => ({ terminal: true })),
  };
}
