import type { JsonObject } from '../model.js';
import type { Draw } from './draw.js';
import { headerMatcher, stringMatcher } from './matchers.js';
import { exacts, prefixes } from './values.js';

export function rbac(draw: Draw): JsonObject {
  return { '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC', ...draw.maybe(0.8, () => ({ rules: rules(draw) })), ...draw.maybe(0.2, () => ({ shadow_rules: rules(draw) })) };
}

export function rbacPerRoute(draw: Draw): JsonObject {
  return { '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute', ...draw.maybe(0.7, () => ({ rbac: without(rbac(draw)) })) };
}

function without({ '@type': _type, ...rest }: JsonObject): JsonObject {
  return rest;
}

function rules(draw: Draw): JsonObject {
  return {
    action: draw.pick(['ALLOW', 'ALLOW', 'DENY', 'DENY', 'LOG']),
    policies: Object.fromEntries(draw.some(['p-b', 'p-a', 'p-c'], 0, 3).map((name) => [name, { permissions: draw.list(1, 2, () => permission(draw, 2)), principals: draw.list(1, 2, () => principal(draw, 2)) }])),
  };
}

function permission(draw: Draw, depth: number): JsonObject {
  return draw.of<JsonObject>(
    [2, () => ({ any: true })],
    [3, () => ({ header: headerMatcher(draw) })],
    [3, () => ({ url_path: { path: stringMatcher(draw, [...exacts, ...prefixes.filter((one) => one !== '')]) } })],
    [depth, () => ({ and_rules: { rules: draw.list(1, 2, () => permission(draw, depth - 1)) } })],
    [depth, () => ({ or_rules: { rules: draw.list(1, 2, () => permission(draw, depth - 1)) } })],
    [depth, () => ({ not_rule: permission(draw, depth - 1) })],
  );
}

function principal(draw: Draw, depth: number): JsonObject {
  return draw.of<JsonObject>(
    [4, () => ({ any: true })],
    [3, () => ({ header: headerMatcher(draw) })],
    [1, () => ({ url_path: { path: stringMatcher(draw, exacts) } })],
    [1, () => ({ authenticated: {} })],
    [depth, () => ({ and_ids: { ids: draw.list(1, 2, () => principal(draw, depth - 1)) } })],
    [depth, () => ({ or_ids: { ids: draw.list(1, 2, () => principal(draw, depth - 1)) } })],
    [depth, () => ({ not_id: principal(draw, depth - 1) })],
  );
}
