// Authorization rules, and requests for them. Clients do not judge, so these go through servers (rbac-arena.ts).
import type { CaseRequest, JsonObject } from '../model.js';
import type { Draw } from './draw.js';
import { headerMatcher, stringMatcher } from './matchers.js';
import { exacts, literals, prefixes } from './values.js';

/** Stands for the port that the side listens on. */
export const portPlaceholder = 4_294_901;

const names = ['x-a', 'x-b', 'x-c'];
const matched = [...names, ...names, ':method', ':path', ':authority', 'host', ':scheme', 'content-type'];
const paths = [...exacts, ...prefixes.filter((one) => one !== '')];

/** envoy.config.rbac.v3.RBAC. */
export function rules(draw: Draw): JsonObject {
  return {
    action: draw.pick(['ALLOW', 'ALLOW', 'DENY', 'DENY', 'LOG']),
    policies: Object.fromEntries(draw.some(['p-b', 'p-a', 'p-c'], 0, 3).map((name) => [name, { permissions: draw.list(1, 2, () => permission(draw, 2)), principals: draw.list(1, 2, () => principal(draw, 2)) }])),
  };
}

export function rbacRequest(draw: Draw): CaseRequest {
  const headers: [string, string][] = [];
  for (const name of names) for (let times = draw.pick([0, 1, 1, 2, 3]); times > 0; times--) headers.push([name, draw.pick(['a', 'b', 'abc', 'A', '1', '10', 'x', '', 'a,b'])]);
  if (draw.chance(0.2)) headers.push(['content-type', draw.pick(['text/plain', 'a'])]);
  return {
    method: draw.pick(['GET', 'GET', 'POST', 'DELETE']),
    path: draw.chance(0.03) ? '//' : draw.pick(paths) + draw.pick(['', '', '', '/', '/x', '?q=1', '?a=/a/b', '//a', '%41']),
    authority: draw.pick(['a', 'b', 'abc', 'a:80', 'A', '10']),
    headers,
    script: [],
  };
}

function permission(draw: Draw, depth: number): JsonObject {
  return draw.of<JsonObject>(
    [1.5, () => ({ any: true })],
    [4, () => ({ header: headerMatcher(draw, matched) })],
    [3, () => ({ url_path: { path: stringMatcher(draw, paths) } })],
    [0.5, () => ({ destination_port: draw.pick([portPlaceholder, 1]) })],
    [0.5, () => ({ destination_port_range: draw.pick<JsonObject>([{ start: 1, end: 65_535 }, { start: 1, end: 2 }, { start: portPlaceholder, end: 65_536 }, { start: 1, end: portPlaceholder }]) })],
    [0.5, () => ({ destination_ip: cidr(draw) })],
    [0.5, () => ({ requested_server_name: stringMatcher(draw) })],
    [0.7, () => ({ metadata: metadata(draw) })],
    [depth, () => ({ and_rules: { rules: draw.list(1, 2, () => permission(draw, depth - 1)) } })],
    [depth, () => ({ or_rules: { rules: draw.list(1, 2, () => permission(draw, depth - 1)) } })],
    [depth, () => ({ not_rule: permission(draw, depth - 1) })],
  );
}

function principal(draw: Draw, depth: number): JsonObject {
  return draw.of<JsonObject>(
    [3, () => ({ any: true })],
    [3, () => ({ header: headerMatcher(draw, matched) })],
    [1, () => ({ url_path: { path: stringMatcher(draw, paths) } })],
    [0.5, () => ({ authenticated: draw.maybe(0.3, () => ({ principal_name: stringMatcher(draw, literals) })) })],
    [1, () => ({ [draw.pick(['source_ip', 'direct_remote_ip', 'remote_ip'])]: cidr(draw) })],
    [0.7, () => ({ metadata: metadata(draw) })],
    [depth, () => ({ and_ids: { ids: draw.list(1, 2, () => principal(draw, depth - 1)) } })],
    [depth, () => ({ or_ids: { ids: draw.list(1, 2, () => principal(draw, depth - 1)) } })],
    [depth, () => ({ not_id: principal(draw, depth - 1) })],
  );
}

function cidr(draw: Draw): JsonObject {
  return draw.pick<JsonObject>([
    { address_prefix: '127.0.0.0', prefix_len: 8 }, { address_prefix: '127.0.0.1', prefix_len: 32 }, { address_prefix: '127.0.0.1' }, { address_prefix: '10.0.0.0', prefix_len: 8 },
    { address_prefix: '127.0.0.2', prefix_len: 31 }, { address_prefix: '0.0.0.0', prefix_len: 0 }, { address_prefix: '::', prefix_len: 0 }, { address_prefix: '::ffff:127.0.0.1', prefix_len: 128 },
  ]);
}

/** Of what header_to_metadata wrote before. */
function metadata(draw: Draw): JsonObject {
  return { filter: draw.pick(['who', 'who', 'nobody']), path: [{ key: draw.pick(['a', 'b']) }], value: draw.pick<JsonObject>([{ string_match: stringMatcher(draw) }, { present_match: true }, { null_match: {} }]), ...draw.maybe(0.2, () => ({ invert: true })) };
}

/** The filters before the router: RBAC is off where a route says nothing. */
export const rbacFilters: JsonObject[] = [
  { name: 'to-metadata', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config', request_rules: ['a', 'b'].map((key) => ({ header: `x-${key}`, on_header_present: { metadata_namespace: 'who', key } })) } },
  { name: 'rbac', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC' } },
  { name: 'router', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } },
];
