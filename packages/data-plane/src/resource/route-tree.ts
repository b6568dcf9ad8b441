// `matcher` of a virtual host: lists and trees over request headers whose actions are routes.
import {
  HttpRequestHeaderMatchInputSchema, Matcher_MatcherList_FieldMatcherSchema, Matcher_MatcherList_Predicate_PredicateListSchema, Matcher_MatcherList_Predicate_SinglePredicateSchema,
  Matcher_MatcherList_PredicateSchema, Matcher_MatcherListSchema, Matcher_MatcherTree_MatchMapSchema, Matcher_MatcherTreeSchema, Matcher_OnMatchSchema, MatcherSchema, XdsRegexMatcherSchema, XdsStringMatcherSchema,
  type Matcher, type Matcher_MatcherList_Predicate, type Matcher_MatcherList_Predicate_PredicateList, type Matcher_MatcherTree, type Matcher_OnMatch, type XdsStringMatcher,
} from '@weft/xds-api/matching';
import type { TypedExtensionConfig as CoreExtension } from '@weft/xds-api/core';
import { RouteListSchema, RouteSchema, type Route } from '@weft/xds-api/route';
import { compileRe2 } from '../route/re2.js';
import type { StringMatcherConfig } from './matcher-config.js';
import { join, knownFields, type Report } from './report.js';
import type { RouteEntryConfig, RouteMatcherConfig, RouteOnMatchConfig, RoutePredicateConfig } from './route-config.js';
import { typeNameOf, unpack } from './value.js';

type Extension = Pick<CoreExtension, 'typedConfig'>;

const matcherFields = knownFields(MatcherSchema, ['matcher_list', 'matcher_tree', 'on_no_match']);
const onMatchFields = knownFields(Matcher_OnMatchSchema, ['matcher', 'action']);
const listFields = knownFields(Matcher_MatcherListSchema, ['matchers']);
const entryFields = knownFields(Matcher_MatcherList_FieldMatcherSchema, ['predicate', 'on_match']);
const predicateFields = knownFields(Matcher_MatcherList_PredicateSchema, ['single_predicate', 'or_matcher', 'and_matcher', 'not_matcher']);
const singleFields = knownFields(Matcher_MatcherList_Predicate_SinglePredicateSchema, ['input', 'value_match'], [], ['custom_match']);
const predicatesFields = knownFields(Matcher_MatcherList_Predicate_PredicateListSchema, ['predicate']);
const treeFields = knownFields(Matcher_MatcherTreeSchema, ['input', 'exact_match_map', 'prefix_match_map'], [], ['custom_match']);
const mapFields = knownFields(Matcher_MatcherTree_MatchMapSchema, ['map']);
const inputFields = knownFields(HttpRequestHeaderMatchInputSchema, ['header_name']);
const stringFields = knownFields(XdsStringMatcherSchema, ['exact', 'prefix', 'suffix', 'contains', 'safe_regex', 'ignore_case']);
const regexFields = knownFields(XdsRegexMatcherSchema, ['regex'], ['google_re2']);
const routeListFields = knownFields(RouteListSchema, ['routes']);

// A tree of a control plane is a handful deep; what is deeper would only exhaust the stack.
const deepest = 32;

/** The routes of all its actions are put at the end of `routes`; the tree names them by their place there. */
export function decodeRouteTree(matcher: Matcher, path: string, routes: RouteEntryConfig[], decodeRoute: (route: Route, path: string) => RouteEntryConfig | undefined, report: Report): RouteMatcherConfig {
  return decodeMatcher(matcher, path, 0);

  function decodeMatcher(value: Matcher, at: string, depth: number): RouteMatcherConfig {
    report.check(matcherFields, value, at);
    if (depth > deepest) {
      report.add(at, `nested more than ${deepest} deep`);
      return { kind: 'list', entries: [] };
    }
    const onNoMatch = value.onNoMatch && decodeOnMatch(value.onNoMatch, join(at, 'on_no_match'), depth);
    const { matcherType: type } = value;
    if (type.case === 'matcherTree') return { ...decodeTree(type.value, join(at, 'matcher_tree'), depth), ...(onNoMatch && { onNoMatch }) };
    const list = join(at, 'matcher_list');
    if (type.case === undefined && !value.onNoMatch) report.add(at, 'one of matcher_list, matcher_tree is required');
    if (type.value) {
      report.check(listFields, type.value, list);
      if (type.value.matchers.length === 0) report.add(join(list, 'matchers'), 'must not be empty');
    }
    const entries = (type.value?.matchers ?? []).flatMap((entry, i) => {
      const here = `${list}.matchers[${i}]`;
      report.check(entryFields, entry, here);
      const predicate = decodePredicate(entry.predicate, join(here, 'predicate'), depth, report);
      const onMatch = decodeOnMatch(entry.onMatch, join(here, 'on_match'), depth);
      return predicate && onMatch ? [{ predicate, onMatch }] : [];
    });
    return { kind: 'list', entries, ...(onNoMatch && { onNoMatch }) };
  }

  function decodeTree(tree: Matcher_MatcherTree, at: string, depth: number): RouteMatcherConfig {
    report.check(treeFields, tree, at);
    const header = headerOf(tree.input, join(at, 'input'), report);
    const { treeType: type } = tree;
    if (type.case !== 'exactMatchMap' && type.case !== 'prefixMatchMap') {
      if (type.case) report.unsupported(join(at, 'custom_match'));
      else report.add(at, 'one of exact_match_map, prefix_match_map is required');
      return { kind: 'exact-map', header, map: new Map() };
    }
    const field = join(at, type.case === 'exactMatchMap' ? 'exact_match_map' : 'prefix_match_map');
    report.check(mapFields, type.value, field);
    const map = new Map<string, RouteOnMatchConfig>();
    for (const [key, value] of Object.entries(type.value.map)) {
      const onMatch = decodeOnMatch(value, `${field}.map[${JSON.stringify(key)}]`, depth);
      if (onMatch) map.set(key, onMatch);
    }
    return { kind: type.case === 'exactMatchMap' ? 'exact-map' : 'prefix-map', header, map };
  }

  function decodeOnMatch(value: Matcher_OnMatch | undefined, at: string, depth: number): RouteOnMatchConfig | undefined {
    if (value) report.check(onMatchFields, value, at);
    const on = value?.onMatch;
    if (on?.case === 'matcher') return { matcher: decodeMatcher(on.value, join(at, 'matcher'), depth + 1) };
    if (on?.case === 'action') return { routes: decodeAction(on.value, join(at, 'action.typed_config')) };
    report.add(at, 'one of matcher, action is required');
    return undefined;
  }

  function decodeAction({ typedConfig }: Extension, at: string): number[] {
    const type = typedConfig ? typeNameOf(typedConfig) : '';
    const place = (route: Route | undefined, here: string) => {
      const entry = route && decodeRoute(route, here);
      return entry ? [routes.push(entry) - 1] : [];
    };
    if (typedConfig && type === RouteListSchema.typeName) {
      const list = unpack(typedConfig, RouteListSchema, at, report);
      if (list) report.check(routeListFields, list, at);
      return (list?.routes ?? []).flatMap((route, i) => place(route, `${at}.routes[${i}]`));
    }
    if (typedConfig && type === RouteSchema.typeName) return place(unpack(typedConfig, RouteSchema, at, report), at);
    report.add(at, `must be a Route or RouteList, is ${type || 'empty'}`);
    return [];
  }
}

function decodePredicate(predicate: Matcher_MatcherList_Predicate | undefined, path: string, depth: number, report: Report): RoutePredicateConfig | undefined {
  if (predicate) report.check(predicateFields, predicate, path);
  const type = predicate?.matchType;
  if (depth > deepest) {
    report.add(path, `nested more than ${deepest} deep`);
    return undefined;
  }
  switch (type?.case) {
    case 'singlePredicate': {
      const at = join(path, 'single_predicate');
      report.check(singleFields, type.value, at);
      const { matcher } = type.value;
      const header = headerOf(type.value.input, join(at, 'input'), report);
      if (matcher.case === 'valueMatch') return { kind: 'header', header, matcher: decodeString(matcher.value, join(at, 'value_match'), report) };
      if (matcher.case) report.unsupported(join(at, 'custom_match'));
      else report.add(at, 'value_match is required');
      return undefined;
    }
    case 'orMatcher': return { kind: 'or', predicates: decodePredicates(type.value, join(path, 'or_matcher'), depth, report) };
    case 'andMatcher': return { kind: 'and', predicates: decodePredicates(type.value, join(path, 'and_matcher'), depth, report) };
    case 'notMatcher': {
      const inner = decodePredicate(type.value, join(path, 'not_matcher'), depth + 1, report);
      return inner && { kind: 'not', predicate: inner };
    }
    default:
      report.add(path, 'one of single_predicate, or_matcher, and_matcher, not_matcher is required');
      return undefined;
  }
}

function decodePredicates(list: Matcher_MatcherList_Predicate_PredicateList, path: string, depth: number, report: Report): RoutePredicateConfig[] {
  report.check(predicatesFields, list, path);
  if (list.predicate.length < 2) report.add(join(path, 'predicate'), 'must have two or more');
  return list.predicate.flatMap((one, i) => decodePredicate(one, `${path}.predicate[${i}]`, depth + 1, report) ?? []);
}

/** Envoy takes no other input for routes. */
function headerOf(input: Extension | undefined, path: string, report: Report): string {
  const at = join(path, 'typed_config');
  if (!input?.typedConfig) {
    report.add(at, 'is required');
    return '';
  }
  const decoded = unpack(input.typedConfig, HttpRequestHeaderMatchInputSchema, at, report);
  if (decoded) report.check(inputFields, decoded, at);
  if (decoded?.headerName === '') report.add(join(at, 'header_name'), 'must not be empty');
  return decoded?.headerName.toLowerCase() ?? '';
}

function decodeString(matcher: XdsStringMatcher, path: string, report: Report): StringMatcherConfig {
  report.check(stringFields, matcher, path);
  const { matchPattern: pattern, ignoreCase } = matcher;
  switch (pattern.case) {
    case 'exact': case 'prefix': case 'suffix': case 'contains':
      return { kind: pattern.case, value: pattern.value, ignoreCase };
    case 'safeRegex': {
      const { regex } = pattern.value;
      report.check(regexFields, pattern.value, join(path, 'safe_regex'));
      report.attempt(join(path, 'safe_regex.regex'), () => void compileRe2(regex));
      return { kind: 'regex', value: regex };
    }
    default:
      report.add(path, 'one of exact, prefix, suffix, contains, safe_regex is required');
      return { kind: 'exact', value: '', ignoreCase };
  }
}
