// gRPC calls: routes for them, and what backends do with each attempt.
import type { JsonObject } from '../model.js';
import { fault } from './filter-fault.js';
import type { Draw } from './draw.js';
import { headerMatcher } from './matchers.js';
import { headerMutations } from './mutations.js';

export interface ScriptedCall {
  status: number;
  /** Nothing but a status. */
  trailersOnly: boolean;
  headers: [string, string][];
  trailers: [string, string][];
}

export interface GrpcCall {
  path: string;
  metadata: [string, string][];
  script: ScriptedCall[];
}

const paths = ['/test.Echo/Echo', '/test.Echo/Other', '/test.Pay/Pay'];
const names = ['x-a', 'x-b', 'x-c'];
const values = ['1', 'a', 'abc', 'ABC', 'b', '10', 'a,b'];
const words = ['cancelled', 'deadline-exceeded', 'internal', 'resource-exhausted', 'unavailable', '5xx', 'retriable-status-codes', 'retriable-headers'];

/** Routes of one virtual host. The last one takes every call. */
export function grpcRoutes(draw: Draw): JsonObject[] {
  return [...draw.list(0, 2, () => route(draw, match(draw))), route(draw, { prefix: '/' })].map((one, i) => ascii({ name: `r-${i}`, ...one }));
}

/** What is beyond ASCII no gRPC client takes. */
function ascii(routes: JsonObject): JsonObject {
  return JSON.parse(JSON.stringify(routes).replaceAll('\u00e9', 'e')) as JsonObject;
}

export function grpcCall(draw: Draw): GrpcCall {
  const metadata = draw.some(names, 0, 3).map((name): [string, string] => [name, draw.pick(values)]);
  if (draw.chance(0.1)) metadata.push(draw.pick<[string, string]>([['x-envoy-retry-grpc-on', 'unavailable'], ['x-envoy-max-retries', '2'], ['x-envoy-fault-abort-grpc-request', '5']]));
  return { path: draw.pick(paths), metadata, script: draw.chance(0.7) ? draw.list(1, 4, () => scripted(draw)) : [] };
}

function match(draw: Draw): JsonObject {
  return {
    ...draw.pick<JsonObject>([{ prefix: '/test.Echo' }, { path: '/test.Echo/Echo' }, { prefix: '/' }, { safe_regex: { regex: '/test\\..*/[EP].*' } }, { prefix: '/TEST.echo', case_sensitive: false }, { path_separated_prefix: '/test.Pay' }]),
    ...draw.maybe(0.6, () => ({ headers: draw.list(1, 2, () => headerMatcher(draw, [...names, ':path', ':method', 'content-type'])) })),
    ...draw.maybe(0.2, () => ({ grpc: {} })),
  };
}

function route(draw: Draw, routeMatch: JsonObject): JsonObject {
  return {
    match: routeMatch,
    ...draw.of<JsonObject>([12, () => ({ route: forward(draw) })], [1, () => ({ direct_response: { status: draw.pick([200, 404, 403, 503]) } })]),
    ...headerMutations(draw, 0.25),
    ...draw.maybe(0.15, () => ({ typed_per_filter_config: { 'envoy.filters.http.fault': fault(draw) } })),
  };
}

function forward(draw: Draw): JsonObject {
  return {
    ...draw.of<JsonObject>([8, () => ({ cluster: draw.pick(['one', 'two']) })], [1, () => ({ cluster: 'missing' })]),
    timeout: '0s',
    ...draw.maybe(0.2, () => ({ prefix_rewrite: draw.pick(['/', '/new/', '/new']) })),
    ...draw.maybe(0.2, () => ({ host_rewrite_literal: 'new.test' })),
    ...draw.maybe(0.6, () => ({
      retry_policy: {
        retry_on: draw.some(words, 1, 3).join(','), ...draw.maybe(0.8, () => ({ num_retries: draw.int(0, 3) })), retry_back_off: { base_interval: '0.001s', max_interval: '0.002s' },
        ...draw.maybe(0.3, () => ({ retriable_headers: [headerMatcher(draw, ['x-retry', 'x-a'])] })),
      },
    })),
  };
}

function scripted(draw: Draw): ScriptedCall {
  return {
    status: draw.pick([0, 0, 1, 4, 5, 8, 13, 14, 14]),
    trailersOnly: draw.chance(0.6),
    headers: draw.some<[string, string]>([['x-retry', '1'], ['x-a', 'up'], ['x-resp', 'r1']], 0, 2),
    trailers: draw.some<[string, string]>([['x-trailer', 't'], ['x-b', 'trailing']], 0, 2),
  };
}
