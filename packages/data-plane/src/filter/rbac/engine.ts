// Evaluates policies for one request. A rule is compiled twice over: `wide` where matching more is the safe side (a deny rule, or
// under a `not` of an allow rule), narrow elsewhere. Wide rules try every spelling of the input that the application takes for the same.
import { compileCidr } from '../../inbound/cidr.js';
import { compileHeaderMatcher } from '../../route/header-matcher.js';
import type { StringPredicate } from '../../route/regex.js';
import { compileMetadataMatcher } from '../../route/metadata-matcher.js';
import { compileStringMatcher } from '../../route/string-matcher.js';
import { compileUriTemplate } from '../../route/uri-template.js';
import type { HeaderMatcherConfig, StringMatcherConfig } from '../../resource/matcher-config.js';
import { HeaderMap } from '../../stream/header-map.js';
import { pathOnly, type RequestHead } from '../../stream/request-head.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import { authoritySpellings, pathSpellings } from './spelling.js';
import type { PolicyConfig, RbacConfig, RuleConfig } from './policy.js';

type Rule = (head: RequestHead, info: StreamInfo) => boolean;

/** One object for each policy and one for none, so that what follows from it can be held by it. */
export interface Verdict {
  readonly allowed: boolean;
  /** The policy that matched, the first by name. */
  readonly policy: string | undefined;
}

export class RbacEngine {
  readonly action: RbacConfig['action'];
  readonly #policies: readonly { matches: Rule; verdict: Verdict }[];
  readonly #unmatched: Verdict;

  /** @throws where a pattern is not valid. */
  constructor({ action, policies }: RbacConfig) {
    this.action = action;
    const verdict = (policy: string | undefined): Verdict => Object.freeze({ policy, allowed: action === 'log' || (policy !== undefined) === (action === 'allow') });
    this.#unmatched = verdict(undefined);
    this.#policies = policies.map((policy) => ({ matches: compilePolicy(policy, action === 'deny'), verdict: verdict(policy.name) }));
  }

  evaluate(head: RequestHead, info: StreamInfo): Verdict {
    for (const { matches, verdict } of this.#policies) if (matches(head, info)) return verdict;
    return this.#unmatched;
  }
}

function compilePolicy({ permissions, principals }: PolicyConfig, wide: boolean): Rule {
  const permission = anyOf(permissions.map((rule) => compileRule(rule, wide)));
  const principal = anyOf(principals.map((rule) => compileRule(rule, wide)));
  return (head, info) => permission(head, info) && principal(head, info);
}

function compileRule(config: RuleConfig, wide: boolean): Rule {
  switch (config.kind) {
    case 'any': return () => true;
    case 'or': return anyOf(config.rules.map((rule) => compileRule(rule, wide)));
    case 'and': return allOf(config.rules.map((rule) => compileRule(rule, wide)));
    case 'not': {
      const rule = compileRule(config.rule, !wide);
      return (head, info) => !rule(head, info);
    }
    case 'header': return wide ? wideHeader(config.matcher) : compileHeaderMatcher(config.matcher);
    case 'path': return path(compileStringMatcher(config.matcher), compileStringMatcher(folded(config.matcher)), wide);
    case 'uri-template': return uriTemplate(config.template, wide);
    case 'metadata': {
      const test = compileMetadataMatcher(config.matcher);
      return (_head, info) => test(info);
    }
    case 'server-name': {
      const test = compileStringMatcher(config.matcher);
      return (_head, info) => test(info.requestedServerName);
    }
    case 'destination-port': return (_head, info) => {
      const port = Number(info.downstreamLocalAddress.slice(info.downstreamLocalAddress.lastIndexOf(':') + 1));
      return port >= config.start && port < config.end;
    };
    case 'destination-ip': return inCidr(config, (info) => info.downstreamLocalAddress);
    case 'direct-remote-ip': return inCidr(config, (info) => info.downstreamDirectRemoteAddress ?? info.downstreamRemoteAddress);
    case 'remote-ip': return inCidr(config, (info) => info.downstreamRemoteAddress);
    case 'authenticated': {
      const test = config.matcher && compileStringMatcher(config.matcher);
      return (_head, { peer }) => peer !== undefined && (test === undefined || test(peer.spiffeId));
    }
  }
}

function anyOf(rules: readonly Rule[]): Rule {
  if (rules.length === 1) return rules[0] as Rule;
  return (head, info) => {
    for (const rule of rules) if (rule(head, info)) return true;
    return false;
  };
}

function allOf(rules: readonly Rule[]): Rule {
  if (rules.length === 1) return rules[0] as Rule;
  return (head, info) => {
    for (const rule of rules) if (!rule(head, info)) return false;
    return true;
  };
}

function path(exact: StringPredicate, ignoringCase: StringPredicate, wide: boolean): Rule {
  if (!wide) return (head) => exact(pathOnly(head.path));
  return (head, { router }) => {
    const value = pathOnly(head.path);
    if (!router) return exact(value);
    // As it is, too: `[^a]` takes an A that it does not take where case is ignored.
    for (const spelling of pathSpellings(value, router)) if (exact(spelling) || (!router.caseSensitive && ignoringCase(spelling))) return true;
    return false;
  };
}

// A segment of a template takes only the letters of a URI; a path with others (`*`) must not slip past a deny rule (CVE-2025-46821).
const notInTemplates = /[^a-zA-Z0-9\-._~%!$&'()+,;:@=/]/g;

function uriTemplate(template: string, wide: boolean): Rule {
  const exact = compileUriTemplate(template);
  if (!wide) return path(exact, exact, false);
  const lower = compileUriTemplate(template.toLowerCase());
  const plain = (value: string) => value.replace(notInTemplates, '-');
  return path((value) => exact(plain(value)), (value) => lower(plain(value).toLowerCase()), true);
}

function folded(matcher: StringMatcherConfig): StringMatcherConfig {
  return matcher.kind === 'regex' ? { kind: 'regex', value: `(?i:${matcher.value})` } : { ...matcher, ignoreCase: true };
}

/** Each value of a repeated header alone as well as all joined (CVE-2020-25017, CVE-2026-26308); every spelling of a host. */
function wideHeader(config: HeaderMatcherConfig): Rule {
  const test = compileHeaderMatcher(config);
  if (config.name === ':authority' || config.name === 'host') {
    const ignoringCase = config.match.kind === 'string' ? compileHeaderMatcher({ ...config, match: { kind: 'string', matcher: folded(config.match.matcher) } }) : test;
    // As it is, too: an inverted matcher takes an A that it does not take where case is ignored.
    return (head) => test(head) || authoritySpellings(head.authority).some((authority) => ignoringCase({ ...head, authority }));
  }
  if (config.name === ':path') {
    return (head, { router }) => test(head) || (router !== undefined && pathSpellings(pathOnly(head.path), router).some((value) => test({ ...head, path: value })));
  }
  return (head) => {
    if (test(head)) return true;
    const values = head.headers.all(config.name);
    return values.length > 1 && values.some((value) => test({ ...head, headers: new HeaderMap([config.name, value]) }));
  };
}

function inCidr(range: { address: string; prefixLength: number }, of: (info: StreamInfo) => string): Rule {
  const contains = compileCidr(range);
  return (_head, info) => {
    const peer = of(info);
    return contains(peer.startsWith('[') ? peer.slice(1, peer.indexOf(']')) : peer.slice(0, peer.lastIndexOf(':')));
  };
}
