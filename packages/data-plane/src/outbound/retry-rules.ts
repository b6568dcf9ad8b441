// What a retry policy calls retriable. Envoy's words and rules (source/common/router/retry_state_impl.cc), for HTTP and gRPC.
import type { RetryPolicyConfig } from '../resource/route-config.js';
import { compileHeaderMatcher, compileResponseHeaderMatcher, type HeaderMatcher } from '../route/header-matcher.js';
import type { HeaderMap } from '../stream/header-map.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead, UpstreamFailure } from '../stream/response-head.js';
import { takeList } from './control-headers.js';

/** `http3-post-connect-failure` never happens here, but it is a word. Words nobody knows are ignored, as in Envoy. */
const httpWords = new Set(['5xx', 'gateway-error', 'reset', 'reset-before-request', 'connect-failure', 'envoy-ratelimited', 'retriable-4xx', 'refused-stream', 'retriable-status-codes', 'retriable-headers', 'http3-post-connect-failure']);
const grpcWords = new Map([['cancelled', 1], ['deadline-exceeded', 4], ['resource-exhausted', 8], ['internal', 13], ['unavailable', 14]]);

export const isRetryWord = (word: string): boolean => httpWords.has(word);
export const isGrpcRetryWord = (word: string): boolean => grpcWords.has(word);

type ResponseMatcher = (headers: HeaderMap, status: number) => boolean;

export interface RetryRules {
  readonly words: ReadonlySet<string>;
  readonly grpcStatuses: ReadonlySet<number>;
  readonly statuses: ReadonlySet<number>;
  readonly responseHeaders: readonly ResponseMatcher[];
  /** Whether a response below 400 without a gRPC status can be retriable. Most policies never look further at those, which are nearly all. */
  readonly readsSuccess: boolean;
}

interface CompiledPolicy extends RetryRules {
  readonly requestHeaders: readonly HeaderMatcher[];
}

const compiledPolicies = new WeakMap<RetryPolicyConfig, CompiledPolicy>();
const nothing: CompiledPolicy = { words: new Set(), grpcStatuses: new Set(), statuses: new Set(), responseHeaders: [], readsSuccess: false, requestHeaders: [] };

function compiled(policy: RetryPolicyConfig): CompiledPolicy {
  let known = compiledPolicies.get(policy);
  if (!known) {
    const rules = rulesOf(policy.retryOn, policy.retryOn, new Set(policy.retriableStatusCodes), policy.retriableHeaders.map(compileResponseHeaderMatcher));
    known = { ...rules, requestHeaders: policy.retriableRequestHeaders.map(compileHeaderMatcher) };
    compiledPolicies.set(policy, known);
  }
  return known;
}

function rulesOf(http: Iterable<string>, grpc: Iterable<string>, statuses: ReadonlySet<number>, responseHeaders: readonly ResponseMatcher[]): RetryRules {
  const words = new Set([...http].filter((word) => httpWords.has(word)));
  const grpcStatuses = new Set([...grpc].map((word) => grpcWords.get(word)).filter((status) => status !== undefined));
  return {
    words, grpcStatuses, statuses, responseHeaders,
    readsSuccess: words.has('retriable-headers') || words.has('envoy-ratelimited') || (words.has('retriable-status-codes') && [...statuses].some((status) => status < 400)),
  };
}

/**
 * The rules for one request: the route's, and what its own `x-envoy-retry-*` headers add to them; those are taken out.
 * Undefined: nothing is retriable.
 * @param steered whether there are such headers at all.
 */
export function retryRules(source: RetryPolicyConfig | undefined, head: RequestHead, steered: boolean): RetryRules | undefined {
  let rules: RetryRules = nothing;
  if (source) {
    const policy = compiled(source);
    rules = policy;
    // Before the headers are gone: a condition may be on one of them. It holds for what they ask for, too.
    if (policy.requestHeaders.length > 0 && !policy.requestHeaders.some((matches) => matches(head))) {
      if (steered) removeAll(head.headers);
      return undefined;
    }
  }
  if (steered) rules = withHeaders(rules, head.headers);
  return rules.words.size === 0 && rules.grpcStatuses.size === 0 ? undefined : rules;
}

function withHeaders(rules: RetryRules, headers: HeaderMap): RetryRules {
  const http = takeList(headers, 'x-envoy-retry-on');
  const grpc = takeList(headers, 'x-envoy-retry-grpc-on');
  const statuses = takeList(headers, 'x-envoy-retriable-status-codes').filter((text) => /^\d{1,9}$/.test(text)).map(Number);
  const names = takeList(headers, 'x-envoy-retriable-header-names').map((name) => name.toLowerCase());
  if (http.length + grpc.length + statuses.length + names.length === 0) return rules;
  const added = rulesOf([...rules.words, ...http], grpc, new Set([...rules.statuses, ...statuses]), [...rules.responseHeaders, ...names.map((name) => (map: HeaderMap) => map.has(name))]);
  return { ...added, grpcStatuses: new Set([...rules.grpcStatuses, ...added.grpcStatuses]) };
}

/** As `retry_on` would list them. */
export function wordsOf({ words, grpcStatuses }: RetryRules): string[] {
  return [...words, ...[...grpcWords].filter(([, status]) => grpcStatuses.has(status)).map(([word]) => word)];
}

function removeAll(headers: HeaderMap): void {
  for (const name of ['x-envoy-retry-on', 'x-envoy-retry-grpc-on', 'x-envoy-retriable-status-codes', 'x-envoy-retriable-header-names']) headers.remove(name);
}

/** `now`: without a back-off. */
export type RetryDecision = 'no' | 'later' | 'now';

export function retriesHead(rules: RetryRules, head: ResponseHead, request: RequestHead): RetryDecision {
  const { words, grpcStatuses, statuses, responseHeaders } = rules;
  const { status } = head;
  if (!rules.readsSuccess && status < 400 && head.grpcStatus === undefined && (grpcStatuses.size === 0 || request.protocol === 'grpc')) return 'no';
  // A rate limiter's word counts before all others.
  if (read(head, 'x-envoy-ratelimited') !== undefined) return words.has('envoy-ratelimited') ? 'later' : 'no';
  if (status >= 500 && status <= 599 && (words.has('5xx') || (words.has('gateway-error') && status >= 502 && status <= 504))) return 'later';
  if (status === 409 && words.has('retriable-4xx')) return 'later';
  if (words.has('retriable-status-codes') && statuses.has(status)) {
    if (status !== 425) return 'later';
    // Too early (RFC 8470): at once, unless it came to us as early data and the caller has to decide.
    if (!request.headers.has('early-data')) return 'now';
  }
  if (words.has('retriable-headers') && responseHeaders.some((matches) => matches(head.headers, status))) return 'later';
  return grpcStatuses.size > 0 && grpcStatuses.has(grpcStatusIn(head)) ? 'later' : 'no';
}

/** Also of responses to plain HTTP requests, as in Envoy: gRPC-Web and transcoding carry the header, too. */
function grpcStatusIn(head: ResponseHead): number {
  if (head.grpcStatus !== undefined) return head.grpcStatus;
  const text = read(head, 'grpc-status');
  return text !== undefined && /^\d{1,2}$/.test(text) ? Number(text) : -1;
}

/** Of nearly all responses nothing is read, or these: no list of headers is made for it. */
function read(head: ResponseHead, name: string): string | undefined {
  return head.readHeader ? head.readHeader(name) : head.headers.get(name);
}

/** @param started whether anything of the request has reached a host, in this attempt or an earlier one. */
export function retriesFailure({ words }: RetryRules, { kind }: UpstreamFailure, started: boolean): boolean {
  if (!started && words.has('reset-before-request')) return true;
  // No response at all counts as 5xx and as a gateway error.
  if (words.has('5xx') || words.has('gateway-error') || words.has('reset')) return true;
  switch (kind) {
    // A kept connection that turned out to be closed: Envoy's pools notice it before they hand it out, and connect.
    case 'connect-failure': case 'identity': case 'reset-before-request': return words.has('connect-failure');
    case 'refused-stream': return words.has('refused-stream');
    default: return false;
  }
}

/** Whether the request may have reached the host. */
export function reachedHost({ kind }: UpstreamFailure): boolean {
  return kind !== 'connect-failure' && kind !== 'identity' && kind !== 'reset-before-request';
}
