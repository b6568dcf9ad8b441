// RouteMatch and its parts.
import type { JsonObject } from '../model.js';
import type { Draw } from './draw.js';
import { exacts, headerNames, literals, prefixes, queries, regexes, separated, templates, valueRegexes } from './values.js';

const templateType = 'type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig';

export function routeMatch(draw: Draw): JsonObject {
  return {
    ...pathMatch(draw),
    ...draw.maybe(0.3, () => ({ headers: draw.list(1, 2, () => headerMatcher(draw)) })),
    ...draw.maybe(0.15, () => ({ query_parameters: draw.list(1, 2, () => queryMatcher(draw)) })),
    ...draw.maybe(0.04, () => ({ grpc: {} })),
    ...draw.maybe(0.06, () => ({ runtime_fraction: { default_value: { numerator: draw.pick([0, 100, 100]), denominator: 'HUNDRED' } } })),
    ...draw.maybe(0.02, () => ({ tls_context: { presented: false } })),
  };
}

function pathMatch(draw: Draw): JsonObject {
  return draw.of<JsonObject>(
    [5, () => ({ prefix: draw.pick(prefixes), ...caseSensitive(draw) })],
    [3, () => ({ path: draw.pick(exacts), ...caseSensitive(draw) })],
    [2, () => ({ safe_regex: { regex: draw.pick(regexes) }, ...caseSensitive(draw) })],
    [2, () => ({ path_separated_prefix: draw.pick(separated), ...caseSensitive(draw) })],
    [2, () => ({ path_match_policy: { name: 'template', typed_config: { '@type': templateType, path_template: draw.pick(templates) } } })],
  );
}

function caseSensitive(draw: Draw): JsonObject {
  return draw.maybe(0.3, () => ({ case_sensitive: draw.chance(0.3) }));
}

export function headerMatcher(draw: Draw, names: readonly string[] = [...headerNames, ':method', ':path', ':authority', ':scheme', 'host']): JsonObject {
  return {
    name: draw.pick(names),
    ...draw.of<JsonObject>(
      [4, () => ({ string_match: stringMatcher(draw) })],
      [2, () => ({ present_match: draw.chance(0.7) })],
      [2, () => {
        const start = draw.int(-10, 20);
        return { range_match: { start: String(start), end: String(start + draw.int(0, 20)) } };
      }],
      [1, () => draw.pick<JsonObject>([{ exact_match: draw.pick(literals) }, { prefix_match: draw.pick(literals) }, { suffix_match: draw.pick(literals) }, { contains_match: draw.pick(literals) }, { safe_regex_match: { regex: draw.pick(valueRegexes) } }])],
      [1, () => ({})],
    ),
    ...draw.maybe(0.25, () => ({ invert_match: true })),
    ...draw.maybe(0.2, () => ({ treat_missing_header_as_empty: true })),
  };
}

export function stringMatcher(draw: Draw, values: readonly string[] = literals): JsonObject {
  if (draw.chance(0.2)) return { safe_regex: { regex: draw.pick(valueRegexes) } };
  return { [draw.pick(['exact', 'exact', 'prefix', 'suffix', 'contains'])]: draw.pick(values), ...draw.maybe(0.3, () => ({ ignore_case: true })) };
}

function queryMatcher(draw: Draw): JsonObject {
  return {
    name: draw.pick(['q', 'p', 'x', 'Q', 'qq']),
    ...draw.of<JsonObject>(
      [3, () => ({ string_match: stringMatcher(draw, ['1', 'a', 'b', '', '%31', 'abc', 'a=b'].filter((value) => value !== '')) })],
      [2, () => ({ present_match: true })],
      [1, () => ({})],
    ),
  };
}

/** For requests. */
export function query(draw: Draw): string {
  const text = draw.pick(queries);
  return text === '' && draw.chance(0.7) ? '' : `?${text}`;
}

/** All or none: what is in between is chance. */
export function fraction(draw: Draw): JsonObject {
  return { default_value: { numerator: draw.pick([0, 100, 100, 100]), denominator: 'HUNDRED' } };
}
