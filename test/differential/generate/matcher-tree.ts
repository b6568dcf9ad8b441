// `matcher` of a virtual host.
import type { JsonObject } from '../model.js';
import type { Draw } from './draw.js';
import { stringMatcher } from './matchers.js';
import { exacts, literals, prefixes } from './values.js';

type MakeRoute = () => JsonObject;

export function routeTree(draw: Draw, route: MakeRoute, depth: number): JsonObject {
  return {
    ...(draw.chance(0.5) ? { matcher_list: { matchers: draw.list(1, 3, () => ({ predicate: predicate(draw, 2), on_match: onMatch(draw, route, depth) })) } } : { matcher_tree: tree(draw, route, depth) }),
    ...draw.maybe(0.6, () => ({ on_no_match: onMatch(draw, route, depth) })),
  };
}

function tree(draw: Draw, route: MakeRoute, depth: number): JsonObject {
  const byPath = draw.chance(0.5);
  const keys = draw.some(byPath ? [...exacts, ...prefixes.filter((one) => one !== '')] : literals, 1, 4);
  const map = Object.fromEntries(keys.map((key) => [key, onMatch(draw, route, depth)]));
  return { input: input(byPath ? ':path' : draw.pick(['x-a', 'x-b', 'x-user', ':method'])), [draw.pick(['exact_match_map', 'prefix_match_map'])]: { map } };
}

function onMatch(draw: Draw, route: MakeRoute, depth: number): JsonObject {
  if (depth > 0 && draw.chance(0.3)) return { matcher: routeTree(draw, route, depth - 1) };
  const routes = draw.list(1, 2, route);
  return { action: routes.length === 1 ? extension('envoy.config.route.v3.Route', routes[0]!) : extension('envoy.config.route.v3.RouteList', { routes }) };
}

function predicate(draw: Draw, depth: number): JsonObject {
  return draw.of<JsonObject>(
    [4, () => ({ single_predicate: { input: input(draw.pick(['x-a', 'x-b', 'x-c', ':path', ':method', ':authority'])), value_match: xdsMatcher(stringMatcher(draw, [...literals, '/a', 'GET', '/'])) } })],
    [depth, () => ({ and_matcher: { predicate: draw.list(2, 2, () => predicate(draw, depth - 1)) } })],
    [depth, () => ({ or_matcher: { predicate: draw.list(2, 2, () => predicate(draw, depth - 1)) } })],
    [depth, () => ({ not_matcher: predicate(draw, depth - 1) })],
  );
}

/** xDS's own messages still have to name the engine. */
function xdsMatcher(matcher: JsonObject): JsonObject {
  return 'safe_regex' in matcher ? { safe_regex: { google_re2: {}, ...(matcher['safe_regex'] as JsonObject) } } : matcher;
}

function input(header: string): JsonObject {
  return extension('envoy.type.matcher.v3.HttpRequestHeaderMatchInput', { header_name: header });
}

function extension(type: string, config: JsonObject): JsonObject {
  return { name: 'x', typed_config: { '@type': `type.googleapis.com/${type}`, ...config } };
}
