import type { ConformanceCase, Json } from '../conformance-case.js';

/** Whoever asks is one of us: its x-envoy headers are believed, as the mesh believes those of its own process. */
const internal = { use_remote_address: true, internal_address_config: { cidr_ranges: [{ address_prefix: '127.0.0.0', prefix_len: 8 }] } };
const quick = { base_interval: '0.001s' };
const policy = (retryOn: string, more: Json = {}): Json => ({ retry_on: retryOn, num_retries: 2, retry_back_off: quick, ...more });
const only = (retryOn: string, more: Json = {}): Pick<ConformanceCase, 'sides' | 'connectionManager' | 'routes'> => ({ sides: ['client'], connectionManager: internal, routes: [{ route: { timeout: '0s', retry_policy: policy(retryOn, more) } }] });
const route = (action: Json): Pick<ConformanceCase, 'sides' | 'connectionManager' | 'routes'> => ({ sides: ['client'], connectionManager: internal, routes: [{ route: { timeout: '0s', ...action } }] });
const silence = { instead: 'silence' } as const;
const reset = { instead: 'reset' } as const;
const counted = { include_request_attempt_count: true, include_attempt_count_in_response: true, include_is_timeout_retry_header: true };
const unavailable = { grpcStatus: 14, trailersOnly: true };

export const retryCases: readonly ConformanceCase[] = [
  {
    name: 'retries until one attempt is good, and says which it was',
    ...only('5xx'),
    protocols: ['http'],
    virtualHost: counted,
    exchanges: [
      { answer: [{ status: 503 }, { status: 500 }, { status: 200 }], expect: { attempts: 3, headers: { 'x-envoy-attempt-count': '3' }, seen: { 'x-envoy-attempt-count': '3', 'x-envoy-is-timeout-retry': 'false' } } },
      { answer: { status: 503 }, expect: { status: 503, attempts: 3, body: 'backend' } },
      { answer: { status: 404 }, expect: { status: 404, attempts: 1, seen: { 'x-envoy-is-timeout-retry': undefined } } },
    ],
  },
  {
    name: 'retries gRPC statuses that come without anything before them',
    ...only('unavailable,resource-exhausted'),
    protocols: ['grpc'],
    virtualHost: counted,
    exchanges: [
      { answer: [unavailable, { grpcStatus: 8, trailersOnly: true }, {}], expect: { grpcStatus: 0, attempts: 3, seen: { 'x-envoy-attempt-count': '3' } } },
      { answer: { grpcStatus: 13, trailersOnly: true }, expect: { grpcStatus: 13, attempts: 1 } },
      { answer: { grpcStatus: 14 }, expect: { grpcStatus: 14, attempts: 1 } },
    ],
  },
  {
    name: 'gateway-error is 502 to 504 and no response at all',
    ...only('gateway-error'),
    protocols: ['http'],
    exchanges: [
      { answer: [{ status: 502 }, { status: 504 }, {}], expect: { attempts: 3 } },
      { answer: { status: 500 }, expect: { status: 500, attempts: 1 } },
      { answer: [reset, {}], expect: { attempts: 2 } },
    ],
  },
  {
    name: 'a reset is none of these',
    ...only('connect-failure,refused-stream,reset-before-request,retriable-4xx,unavailable'),
    protocols: ['http'],
    exchanges: [
      { method: 'POST', answer: reset, expect: { status: 503, attempts: 1, body: /^upstream connect error or disconnect\/reset before headers\. reset reason: connection termination/ } },
      { answer: [{ status: 409 }, {}], expect: { attempts: 2 } },
      { answer: [{ headers: { 'grpc-status': '14' } }, {}], expect: { attempts: 2 } },
    ],
  },
  {
    name: 'status codes and headers need their words',
    ...only('retriable-status-codes,retriable-headers', { retriable_status_codes: [418, 203], retriable_headers: [{ name: 'x-again', present_match: true }] }),
    protocols: ['http'],
    exchanges: [
      { answer: [{ status: 418 }, { status: 203 }, {}], expect: { attempts: 3 } },
      { answer: [{ headers: { 'x-again': '1' } }, {}], expect: { attempts: 2 } },
      { answer: { status: 503 }, expect: { status: 503, attempts: 1 } },
    ],
  },
  {
    name: 'a rate limiter is asked again only on request, an overloaded server like any other',
    ...only('5xx'),
    protocols: ['http'],
    exchanges: [
      { answer: { status: 503, headers: { 'x-envoy-ratelimited': 'true' } }, expect: { status: 503, attempts: 1 } },
      { headers: { 'x-envoy-retry-on': 'envoy-ratelimited' }, answer: [{ status: 429, headers: { 'x-envoy-ratelimited': 'true' } }, {}], expect: { attempts: 2 } },
      { answer: [{ status: 503, headers: { 'x-envoy-overloaded': 'true' } }, {}], expect: { attempts: 2 } },
    ],
  },
  {
    name: 'the caller adds to the policy, and its headers go no further',
    ...route({}),
    protocols: ['http'],
    exchanges: [
      { headers: { 'x-envoy-retry-on': '5xx', 'x-envoy-max-retries': '3' }, answer: { status: 503 }, expect: { status: 503, attempts: 4, seen: { 'x-envoy-retry-on': undefined, 'x-envoy-max-retries': undefined } } },
      { headers: { 'x-envoy-retry-on': 'retriable-status-codes', 'x-envoy-retriable-status-codes': '418, 419' }, answer: [{ status: 419 }, {}], expect: { attempts: 2, seen: { 'x-envoy-retriable-status-codes': undefined } } },
      { headers: { 'x-envoy-retry-on': 'retriable-headers', 'x-envoy-retriable-header-names': 'X-Again' }, answer: [{ headers: { 'x-again': '1' } }, {}], expect: { attempts: 2 } },
      { headers: { 'x-envoy-retry-on': 'unavailable' }, answer: { headers: { 'grpc-status': '14' } }, expect: { attempts: 1 } },
      { headers: { 'x-envoy-retry-grpc-on': 'unavailable' }, answer: [{ headers: { 'grpc-status': '14' } }, {}], expect: { attempts: 2 } },
      { headers: { 'x-envoy-max-retries': '3' }, answer: { status: 503 }, expect: { status: 503, attempts: 1, seen: { 'x-envoy-max-retries': undefined } } },
    ],
  },
  {
    name: 'the caller of a gRPC method does, too',
    ...route({}),
    protocols: ['grpc'],
    exchanges: [{ headers: { 'x-envoy-retry-grpc-on': 'unavailable', 'x-envoy-max-retries': '2' }, answer: unavailable, expect: { grpcStatus: 14, attempts: 3, seen: { 'x-envoy-retry-grpc-on': undefined } } }],
  },
  {
    name: 'a condition on the request also holds for what the request asks for',
    ...only('5xx', { retriable_request_headers: [{ name: 'x-idempotent', present_match: true }] }),
    protocols: ['http'],
    exchanges: [
      { headers: { 'x-envoy-retry-on': '5xx' }, answer: { status: 503 }, expect: { status: 503, attempts: 1 } },
      { headers: { 'x-idempotent': '1' }, answer: { status: 503 }, expect: { status: 503, attempts: 3 } },
    ],
  },
  {
    name: 'the policy of the virtual host counts where the route has none',
    sides: ['client'],
    virtualHost: { retry_policy: policy('5xx,unavailable') },
    routes: [{ match: { prefix: '/none', headers: [] }, route: { timeout: '0s', retry_policy: { retry_on: 'retriable-4xx' } } }, { route: { timeout: '0s' } }],
    exchanges: [
      { only: 'http', answer: { status: 503 }, expect: { status: 503, attempts: 3 } },
      { only: 'http', path: '/none', answer: { status: 503 }, expect: { status: 503, attempts: 1 } },
      { only: 'grpc', answer: unavailable, expect: { grpcStatus: 14, attempts: 3 } },
    ],
  },
  {
    name: 'the route timeout covers all attempts',
    ...route({ timeout: '0.6s', retry_policy: policy('5xx,unavailable', { retry_back_off: { base_interval: '10s' } }) }),
    exchanges: [
      { answer: silence, expect: { status: 504, body: 'upstream request timeout', seen: { 'x-envoy-expected-rq-timeout-ms': '600' } } },
      { only: 'http', headers: { 'x-envoy-upstream-rq-timeout-alt-response': '1' }, answer: silence, expect: { status: 204, body: '', seen: { 'x-envoy-upstream-rq-timeout-alt-response': undefined } } },
      { headers: { 'x-envoy-upstream-rq-timeout-ms': '500' }, answer: silence, expect: { status: 504, seen: { 'x-envoy-expected-rq-timeout-ms': '500', 'x-envoy-upstream-rq-timeout-ms': undefined } } },
    ],
  },
  {
    name: 'a per-try timeout gives the next attempt its turn, and the host learns why',
    ...route({ timeout: '5s', retry_policy: policy('5xx', { per_try_timeout: '0.6s' }) }),
    virtualHost: counted,
    exchanges: [
      { answer: [silence, {}], expect: { attempts: 2, seen: { 'x-envoy-is-timeout-retry': 'true', 'x-envoy-expected-rq-timeout-ms': '600' } } },
      { headers: { 'x-envoy-upstream-rq-per-try-timeout-ms': '300' }, answer: silence, expect: { status: 504, attempts: 3, body: 'upstream request timeout', headers: { 'x-envoy-attempt-count': '3' }, seen: { 'x-envoy-expected-rq-timeout-ms': '300', 'x-envoy-upstream-rq-per-try-timeout-ms': undefined } } },
    ],
  },
  {
    name: 'with hedging, a per-try timeout starts another attempt whatever the policy\'s words',
    ...route({ timeout: '5s', hedge_policy: { hedge_on_per_try_timeout: true }, retry_policy: policy('connect-failure', { per_try_timeout: '0.6s' }) }),
    virtualHost: counted,
    exchanges: [
      { answer: [silence, {}], expect: { attempts: 2, seen: { 'x-envoy-is-timeout-retry': 'true', 'x-envoy-expected-rq-timeout-ms': /^4[1-4]\d\d$/ } } },
      { headers: { 'x-envoy-hedge-on-per-try-timeout': 'false' }, answer: silence, expect: { status: 504, attempts: 1 } },
    ],
  },
  {
    name: 'an attempt without a byte for too long is retried as a timeout',
    ...route({ timeout: '5s', retry_policy: policy('5xx', { per_try_idle_timeout: '0.6s', num_retries: 1 }) }),
    protocols: ['http'],
    exchanges: [
      { answer: [silence, {}], expect: { attempts: 2 } },
      { answer: silence, expect: { status: 504, attempts: 2, body: 'upstream request timeout' } },
    ],
  },
  {
    name: 'a request that is idle too long ends, whatever would be retried',
    ...route({ idle_timeout: '0.6s', retry_policy: policy('5xx,unavailable') }),
    exchanges: [{ answer: silence, expect: { status: 504, attempts: 1, body: 'stream timeout' } }],
  },
  {
    name: 'a maximum duration ends the request and replaces its timeout',
    ...route({ timeout: '0.1s', max_stream_duration: { max_stream_duration: '0.6s' } }),
    exchanges: [{ answer: silence, expect: { status: 504, grpcStatus: 4, body: 'downstream duration timeout', seen: { 'x-envoy-expected-rq-timeout-ms': undefined } } }],
  },
  {
    name: 'the older limits of gRPC deadlines replace the timeout',
    notEnvoy: 'it passes the limit on, and a host that is as quick as its own timer answers DEADLINE_EXCEEDED; else it is the same',
    ...route({ timeout: '0.1s', max_grpc_timeout: '0.6s' }),
    protocols: ['grpc'],
    exchanges: [{ answer: silence, expect: { grpcStatus: 14, body: 'upstream request timeout', seen: { 'x-envoy-expected-rq-timeout-ms': '600' } } }],
  },
  {
    name: 'a router may keep its own headers to itself',
    ...route({ timeout: '5s' }),
    router: { suppress_envoy_headers: true },
    exchanges: [{ expect: { seen: { 'x-envoy-expected-rq-timeout-ms': undefined } } }],
  },
  {
    name: 'a router may take the timeout that another proxy announced',
    ...route({ timeout: '5s' }),
    router: { respect_expected_rq_timeout: true },
    exchanges: [{ headers: { 'x-envoy-expected-rq-timeout-ms': '700' }, answer: silence, expect: { status: 504, seen: { 'x-envoy-expected-rq-timeout-ms': '700' } } }],
  },
  {
    name: 'a strict router refuses control headers that make no sense',
    ...route({ timeout: '5s' }),
    router: { strict_check_headers: ['x-envoy-max-retries', 'x-envoy-retry-on'] },
    exchanges: [
      { headers: { 'x-envoy-max-retries': 'many' }, expect: { status: 400, body: "invalid header 'x-envoy-max-retries' with value 'many'", seen: false } },
      { headers: { 'x-envoy-retry-on': '5xx,unavailable' }, expect: { status: 400, seen: false } },
      { headers: { 'x-envoy-retry-on': '5xx,reset' }, expect: {} },
    ],
  },
  {
    name: 'a server says how long it wants to be left alone',
    ...only('5xx', { rate_limited_retry_back_off: { reset_headers: [{ name: 'Retry-After' }], max_interval: '300s' }, num_retries: 1 }),
    protocols: ['http'],
    exchanges: [{ answer: [{ status: 503, headers: { 'retry-after': '1' } }, {}], expect: { attempts: 2, minimumMs: 990 } }],
  },
];
