// Whether another attempt follows. Envoy's retry_on words and rules (source/common/router/retry_state_impl.cc), for HTTP and gRPC.
import type { RetryPolicyConfig } from '../resource/route-config.js';
import { compileHeaderMatcher, compileResponseHeaderMatcher, type HeaderMatcher } from '../route/header-matcher.js';
import type { HeaderMap } from '../stream/header-map.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseFlag } from '../stream/response-flag.js';
import type { ResponseHead, UpstreamFailure } from '../stream/response-head.js';
import type { RoutePriority, UpstreamCluster } from '../upstream/upstream-cluster.js';

const grpcWords = new Map([['cancelled', 1], ['deadline-exceeded', 4], ['resource-exhausted', 8], ['internal', 13], ['unavailable', 14]]);

interface CompiledPolicy {
  readonly words: ReadonlySet<string>;
  readonly grpcStatuses: ReadonlySet<number>;
  readonly statuses: ReadonlySet<number>;
  /** Whether a response below 400 can be retriable. Most policies never look further at those, which are nearly all. */
  readonly readsSuccess: boolean;
  readonly responseHeaders: readonly ((headers: HeaderMap, status: number) => boolean)[];
  readonly requestHeaders: readonly HeaderMatcher[];
}

const compiledPolicies = new WeakMap<RetryPolicyConfig, CompiledPolicy>();

function compiled(policy: RetryPolicyConfig): CompiledPolicy {
  let known = compiledPolicies.get(policy);
  if (!known) {
    known = {
      ...wordsOf(policy.retryOn),
      readsSuccess: readsSuccess(policy.retryOn),
      statuses: new Set(policy.retriableStatusCodes),
      responseHeaders: policy.retriableHeaders.map(compileResponseHeaderMatcher),
      requestHeaders: policy.retriableRequestHeaders.map(compileHeaderMatcher),
    };
    compiledPolicies.set(policy, known);
  }
  return known;
}

function readsSuccess(words: readonly string[]): boolean {
  return words.includes('retriable-headers') || words.includes('retriable-status-codes') || words.includes('envoy-ratelimited');
}

function wordsOf(words: readonly string[]): Pick<CompiledPolicy, 'words' | 'grpcStatuses'> {
  return { words: new Set(words), grpcStatuses: new Set(words.map((word) => grpcWords.get(word)).filter((status) => status !== undefined)) };
}

/** What a request may still try. */
export class RetryState {
  readonly policy: CompiledPolicy;
  readonly backoff: RetryPolicyConfig['backoff'];
  readonly avoidPreviousHosts: boolean;
  readonly hostSelectionAttempts: number;
  #left: number;
  #made = 0;
  #place: Pick<UpstreamCluster, 'endRetry'> | undefined;
  #priority: RoutePriority = 'default';

  private constructor(policy: CompiledPolicy, source: RetryPolicyConfig | undefined, retries: number) {
    this.policy = policy;
    this.backoff = source?.backoff ?? { baseMs: 25, maxMs: 250 };
    this.avoidPreviousHosts = source?.avoidPreviousHosts ?? false;
    this.hostSelectionAttempts = source?.hostSelectionAttempts ?? 1;
    this.#left = retries;
  }

  /**
   * Reads and removes the caller's `x-envoy-retry-*` headers, which add to the route's policy: the caller is our own process,
   * what Envoy calls an internal request. Undefined: no attempt but the first.
   */
  static of(source: RetryPolicyConfig | undefined, head: RequestHead): RetryState | undefined {
    const asked = askedFor(head);
    if (!source && !asked) return undefined;
    let policy = source ? compiled(source) : noPolicy;
    if (policy.requestHeaders.length > 0 && !policy.requestHeaders.some((matches) => matches(head))) policy = noPolicy;
    if (asked) {
      const { words, grpcStatuses } = wordsOf([...policy.words, ...asked.words]);
      policy = { ...policy, words, grpcStatuses, readsSuccess: readsSuccess([...words]), statuses: new Set([...policy.statuses, ...asked.statuses]), responseHeaders: [...policy.responseHeaders, ...asked.headers] };
    }
    const retries = asked?.maxRetries ?? source?.numRetries ?? 1;
    return policy.words.size === 0 || retries === 0 ? undefined : new RetryState(policy, source, retries);
  }

  /** Retries made so far. */
  get made(): number {
    return this.#made;
  }

  /** Retries that are left. */
  get left(): number {
    return this.#left;
  }

  /** Takes one retry and a place among the cluster's concurrent ones. Undefined, or the flag that says why there is none. */
  take(cluster: Pick<UpstreamCluster, 'beginRetry' | 'endRetry'>, priority: RoutePriority): ResponseFlag | undefined {
    if (this.#left === 0) return 'URX';
    // One place a request: its earlier retry is over.
    this.release();
    if (!cluster.beginRetry(priority)) return 'UO';
    this.#place = cluster;
    this.#priority = priority;
    this.#left--;
    this.#made++;
    return undefined;
  }

  /** The last retry is over, or the request is. */
  release(): void {
    this.#place?.endRetry(this.#priority);
    this.#place = undefined;
  }

  /** Whether the policy calls this response retriable, whatever is left. */
  retriesHead(head: ResponseHead): boolean {
    const { words, grpcStatuses, statuses, responseHeaders, readsSuccess } = this.policy;
    const { status, grpcStatus } = head;
    if (!readsSuccess && status < 400 && grpcStatus === undefined) return false;
    const wanted =
      (status >= 500 && (words.has('5xx') || (words.has('gateway-error') && status >= 502 && status <= 504))) ||
      (status === 409 && words.has('retriable-4xx')) ||
      (grpcStatus !== undefined && grpcStatuses.has(grpcStatus)) ||
      (words.has('retriable-status-codes') && statuses.has(status)) ||
      (words.has('retriable-headers') && responseHeaders.some((matches) => matches(head.headers, status)));
    if (wanted) {
      // The upstream (or a mesh in front of it) sheds load: more of it is the last thing it needs.
      return !head.headers.has('x-envoy-overloaded') && (words.has('envoy-ratelimited') || !head.headers.has('x-envoy-ratelimited'));
    }
    return words.has('envoy-ratelimited') && head.headers.has('x-envoy-ratelimited') && !head.headers.has('x-envoy-overloaded');
  }

  /** Whether the policy calls this failure retriable, whatever is left. */
  retriesFailure({ kind }: UpstreamFailure): boolean {
    const { words } = this.policy;
    // No response at all counts as 5xx and as a gateway error.
    if (words.has('5xx') || words.has('gateway-error') || words.has('reset')) return true;
    switch (kind) {
      case 'connect-failure': case 'identity': return words.has('connect-failure');
      case 'refused-stream': return words.has('refused-stream');
      case 'reset-before-request': return words.has('reset-before-request') || words.has('connect-failure');
      default: return false;
    }
  }
}

const noPolicy: CompiledPolicy = { words: new Set(), readsSuccess: false, grpcStatuses: new Set(), statuses: new Set(), responseHeaders: [], requestHeaders: [] };

interface Asked {
  words: string[];
  statuses: number[];
  headers: ((headers: HeaderMap) => boolean)[];
  maxRetries: number | undefined;
}

function askedFor(head: RequestHead): Asked | undefined {
  const { headers } = head;
  // Most requests carry none: one pass over the names instead of five look-ups.
  const { raw } = headers;
  let any = false;
  for (let i = 0; i < raw.length && !any; i += 2) any = (raw[i] as string).startsWith('x-envoy-retr') || raw[i] === 'x-envoy-max-retries';
  if (!any) return undefined;
  const list = (name: string) => {
    const text = headers.joined(name) ?? '';
    headers.remove(name);
    return text.split(',').map((part) => part.trim()).filter((part) => part !== '');
  };
  const words = [...list('x-envoy-retry-on'), ...list('x-envoy-retry-grpc-on')];
  const statuses = list('x-envoy-retriable-status-codes').map(Number).filter(Number.isInteger);
  const retriable = list('x-envoy-retriable-header-names').map((name) => (map: HeaderMap) => map.has(name.toLowerCase()));
  const [max] = list('x-envoy-max-retries');
  const maxRetries = max !== undefined && /^\d{1,3}$/.test(max) ? Number(max) : undefined;
  return words.length + statuses.length + retriable.length === 0 && maxRetries === undefined ? undefined : { words, statuses, headers: retriable, maxRetries };
}
