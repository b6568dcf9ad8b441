// The matcher of a virtual host: from headers to the routes that are then tried in order (envoy.config.route.v3.VirtualHost.matcher).
import type { RouteMatcherConfig, RouteOnMatchConfig, RoutePredicateConfig } from '../resource/route-config.js';
import type { RequestHead } from '../stream/request-head.js';
import { describeString, quoted } from './describe-matcher.js';
import { requestHeader } from './request-header.js';
import { compileStringMatcher } from './string-matcher.js';

/** Places of routes in their virtual host; undefined: nothing matched. Once an action is reached, only its routes are tried. */
export type RouteTree = (head: RequestHead, why?: (line: string) => void) => readonly number[] | undefined;

/** Throws where a regex is not RE2. */
export function compileRouteTree(config: RouteMatcherConfig): RouteTree {
  const matcher = compileMatcher(config);
  const onNoMatch = config.onNoMatch && compileOnMatch(config.onNoMatch);
  return (head, why) => matcher(head, why) ?? onNoMatch?.(head, why);
}

function compileOnMatch(config: RouteOnMatchConfig): RouteTree {
  if (config.matcher) return compileRouteTree(config.matcher);
  return () => config.routes;
}

function compileMatcher(config: RouteMatcherConfig): RouteTree {
  switch (config.kind) {
    case 'list': {
      const entries = config.entries.map(({ predicate, onMatch }) => ({ asks: describe(predicate), test: compilePredicate(predicate), then: compileOnMatch(onMatch) }));
      return (head, why) => {
        for (const { asks, test, then } of entries) {
          // A matcher below that finds nothing leaves it to the next one here.
          const found = test(head) ? then(head, why) : void why?.(`matcher: ${asks}, which the request has not`);
          if (found) return found;
        }
        return undefined;
      };
    }
    case 'exact-map': {
      const map = new Map([...config.map].map(([key, onMatch]) => [key, compileOnMatch(onMatch)]));
      return (head, why) => {
        const value = requestHeader(head, config.header);
        const then = value === undefined ? undefined : map.get(value);
        if (!then) why?.(`matcher: header ${config.header} is one of ${[...map.keys()].map(quoted).join(', ')}, the request has ${value === undefined ? 'none' : quoted(value)}`);
        return then?.(head, why);
      };
    }
    case 'prefix-map': {
      // The longest first; one whose matcher finds nothing leaves it to the shorter ones.
      const prefixes = [...config.map].map(([key, onMatch]) => ({ key, then: compileOnMatch(onMatch) })).sort((a, b) => b.key.length - a.key.length);
      return (head, why) => {
        const value = requestHeader(head, config.header);
        for (const { key, then } of prefixes) {
          const found = value?.startsWith(key) ? then(head, why) : undefined;
          if (found) return found;
        }
        why?.(`matcher: header ${config.header} starts with one of ${prefixes.map(({ key }) => quoted(key)).join(', ')}, the request has ${value === undefined ? 'none' : quoted(value)}`);
        return undefined;
      };
    }
  }
}

function compilePredicate(config: RoutePredicateConfig): (head: RequestHead) => boolean {
  switch (config.kind) {
    case 'header': {
      const test = compileStringMatcher(config.matcher);
      return (head) => {
        const value = requestHeader(head, config.header);
        return value !== undefined && test(value);
      };
    }
    case 'not': {
      const test = compilePredicate(config.predicate);
      return (head) => !test(head);
    }
    case 'and': {
      const tests = config.predicates.map(compilePredicate);
      return (head) => tests.every((test) => test(head));
    }
    case 'or': {
      const tests = config.predicates.map(compilePredicate);
      return (head) => tests.some((test) => test(head));
    }
  }
}

function describe(config: RoutePredicateConfig): string {
  switch (config.kind) {
    case 'header': return `header ${config.header} ${describeString(config.matcher)}`;
    case 'not': return `not (${describe(config.predicate)})`;
    default: return `(${config.predicates.map(describe).join(` ${config.kind} `)})`;
  }
}
