import type { RouteMatchConfig } from '../resource/route-config.js';
import type { RequestHead } from '../stream/request-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { compileCookieMatcher, cookie } from './cookie-matcher.js';
import { describeHeader, describePath, describeString, describeValue, quoted } from './describe-matcher.js';
import { compileHeaderMatcher } from './header-matcher.js';
import { compileMetadataMatcher, metadataValue } from './metadata-matcher.js';
import { compilePathMatcher } from './path-matcher.js';
import { compileQueryMatcher, queryParameter } from './query-matcher.js';
import { randomBelow } from './random-value.js';
import { isGrpc, requestHeader } from './request-header.js';
import { compileStringMatcher } from './string-matcher.js';

export interface RouteMatch {
  /** `path` is `head.path` without query and fragment, cut once for all routes. */
  readonly matches: (path: string, head: RequestHead, info: StreamInfo) => boolean;
  /** The first condition that says no, with what it asks for and what the request has. For `weft explain`. */
  refusal(path: string, head: RequestHead, info: StreamInfo): string | undefined;
}

type Test = (head: RequestHead, info: StreamInfo) => boolean;

interface Condition {
  readonly test: Test;
  readonly asks: string;
  /** What the request has instead. */
  has(head: RequestHead, info: StreamInfo): string | undefined;
}

/** RouteMatch: all conditions must hold. Throws where one is invalid. */
export function compileRouteMatch(config: RouteMatchConfig, random: () => number): RouteMatch {
  const path = compilePathMatcher(config.path);
  const connect = config.path.kind === 'connect';
  const conditions = conditionsOf(config, random);
  const tests = conditions.map(({ test }) => test);
  return {
    matches: connect
      ? (_plain, head, info) => head.method === 'CONNECT' && tests.every((test) => test(head, info))
      : tests.length === 0 ? path : (plain, head, info) => path(plain) && tests.every((test) => test(head, info)),
    refusal(plain, head, info) {
      if (connect ? head.method !== 'CONNECT' : !path(plain)) return `${describePath(config.path)}, the request has ${connect ? `method ${head.method}` : quoted(plain)}`;
      const no = conditions.find(({ test }) => !test(head, info));
      return no && `${no.asks}, the request has ${no.has(head, info) ?? 'none'}`;
    },
  };
}

function conditionsOf(config: RouteMatchConfig, random: () => number): Condition[] {
  const conditions: Condition[] = [];
  const { tlsPresented, tlsValidated, runtimeFraction, cookies = [], dynamicMetadata = [], filterState = [] } = config;
  if (config.grpc) conditions.push({ test: isGrpc, asks: 'gRPC', has: (head) => `content-type ${shown(requestHeader(head, 'content-type'))}` });
  for (const header of config.headers) {
    conditions.push({ test: compileHeaderMatcher(header), asks: describeHeader(header), has: (head) => shown(requestHeader(head, header.name.toLowerCase())) });
  }
  for (const { name, matcher } of config.queryParameters) {
    const test = compileQueryMatcher({ name, ...(matcher && { matcher }) });
    conditions.push({ test: (head) => test(head.path), asks: `query parameter ${name} ${matcher ? describeString(matcher) : 'is present'}`, has: (head) => shown(queryParameter(head.path, name)) });
  }
  for (const config_ of cookies) {
    conditions.push({ test: compileCookieMatcher(config_), asks: `cookie ${config_.name} ${config_.invert ? 'not ' : ''}${describeString(config_.matcher)}`, has: (head) => shown(cookie(head, config_.name)) });
  }
  if (tlsPresented !== undefined) conditions.push(tls('a client certificate', tlsPresented, (info) => info.mutualTls));
  // No connection is let in whose certificate was shown and is not valid, so that a presented one is a validated one.
  if (tlsValidated !== undefined) conditions.push(tls('a validated client certificate', tlsValidated, (info) => info.mutualTls));
  for (const metadata of dynamicMetadata) {
    const { filter, path, value, invert } = metadata;
    const test = compileMetadataMatcher(metadata);
    conditions.push({ test: (_head, info) => test(info), asks: `dynamic metadata ${[filter, ...path].join('.')} ${invert ? 'not ' : ''}${describeValue(value)}`, has: (_head, info) => JSON.stringify(metadataValue(info, filter, path)) });
  }
  for (const { key, matcher } of filterState) {
    const test = compileStringMatcher(matcher);
    conditions.push({ test: (_head, info) => { const value = info.filterState?.get(key); return value !== undefined && test(value); }, asks: `filter state ${key} ${describeString(matcher)}`, has: (_head, info) => shown(info.filterState?.get(key)) });
  }
  // Last: no random number is drawn for requests that do not match anyway.
  if (runtimeFraction) {
    const { numerator, denominator } = runtimeFraction;
    const draw = (info: StreamInfo) => randomBelow(info, denominator, random);
    conditions.push({ test: (_head, info) => draw(info) < numerator, asks: `runtime_fraction ${numerator} of ${denominator}`, has: (_head, info) => `drawn ${draw(info)}` });
  }
  return conditions;
}

function tls(what: string, wanted: boolean, is: (info: StreamInfo) => boolean): Condition {
  return { test: (_head, info) => is(info) === wanted, asks: wanted ? what : `no ${what.replace(/^a /, '')}`, has: (_head, info) => (is(info) ? 'one' : 'none') };
}

function shown(value: string | undefined): string {
  return value === undefined ? 'none' : quoted(value);
}
