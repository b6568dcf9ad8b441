// Requests: odd ones among usual ones.
import type { CaseRequest, ScriptedAttempt } from '../model.js';
import { forwardable } from './clusters.js';
import type { Draw } from './draw.js';
import { query } from './matchers.js';
import { exacts, headerNames, headerValues, hosts, origins, ports, prefixes, segments } from './values.js';

export function request(draw: Draw): CaseRequest {
  const method = draw.pick(['GET', 'GET', 'GET', 'GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'OPTIONS', 'PATCH', 'PURGE']);
  const hasBody = (method === 'POST' || method === 'PUT' || method === 'PATCH') && draw.chance(0.7);
  return {
    method,
    path: path(draw) + query(draw),
    authority: authority(draw),
    headers: headers(draw),
    ...(hasBody && { body: 'body'.repeat(draw.int(1, 50)) }),
    script: draw.chance(0.4) ? draw.list(1, 4, () => attempt(draw)) : [],
  };
}

function path(draw: Draw): string {
  const base = draw.of([3, () => draw.pick(exacts)], [3, () => draw.pick(prefixes.filter((one) => one !== ''))], [4, () => `/${draw.list(0, 4, () => draw.pick(segments)).join('/')}`]);
  return draw.chance(0.2) ? `${base}/` : draw.chance(0.2) ? base + draw.pick(segments) : base;
}

function authority(draw: Draw): string {
  const host = draw.pick(hosts);
  return draw.chance(0.3) ? `${host}:${draw.pick(ports)}` : host;
}

function headers(draw: Draw): [string, string][] {
  // Always: weighted clusters are chosen by it, and what is no number is chance.
  const made: [string, string][] = [['x-num', draw.pick(numbers)]];
  for (const name of draw.some(headerNames.filter((name) => name !== 'x-num'), 0, 6)) {
    const times = name.startsWith('x-') && draw.chance(0.2) ? 2 : 1;
    for (let i = 0; i < times; i++) made.push([draw.chance(0.2) ? name.toUpperCase() : name, headerValue(draw, name)]);
  }
  if (draw.chance(0.05)) made.push(['content-type', draw.pick(['application/grpc', 'application/grpc+proto', 'application/grpc-web', 'text/plain', 'application/grpc;x=1'])]);
  if (draw.chance(0.1)) made.push(...draw.some<[string, string]>([
    ['x-envoy-retry-on', '5xx'], ['x-envoy-retry-on', 'retriable-status-codes,reset'], ['x-envoy-max-retries', String(draw.int(0, 3))], ['x-envoy-retriable-status-codes', '404,503'],
    ['x-envoy-retry-grpc-on', 'unavailable'], ['x-envoy-upstream-rq-timeout-ms', '3000'], ['x-envoy-upstream-rq-per-try-timeout-ms', '2000'], ['x-envoy-retriable-header-names', 'x-resp'],
  ], 1, 3));
  if (draw.chance(0.05)) made.push(...draw.some<[string, string]>([['x-envoy-fault-abort-request', '418'], ['x-envoy-fault-delay-request', '3'], ['x-envoy-fault-abort-request-percentage', '100'], ['x-envoy-fault-abort-grpc-request', '5']], 1, 3));
  if (draw.chance(0.2)) made.push(...origin(draw));
  return made;
}

/** What CORS and CSRF read. */
function origin(draw: Draw): [string, string][] {
  const made: [string, string][] = draw.chance(0.8) ? [['origin', draw.pick(origins)]] : [];
  if (draw.chance(0.3)) made.push(['referer', `${draw.pick(origins.filter((one) => one !== 'null'))}/page?x=1`]);
  if (draw.chance(0.5)) made.push(['access-control-request-method', draw.pick(['GET', 'PUT'])]);
  if (draw.chance(0.2)) made.push(['access-control-request-private-network', 'true']);
  return made;
}

function headerValue(draw: Draw, name: string): string {
  if (name === 'x-cluster') return draw.pick([...forwardable, 'missing', '']);
  if (name === 'cookie') return draw.pick(['sid=1', 'sid=abc; z=2', 'z="q"', 'a=b', 'sid=']);
  if (name === 'x-host') return draw.pick(['h.test', 'h.test:9', 'H.Test']);
  return draw.pick(headerValues);
}

function location(draw: Draw): string {
  return draw.of([8, () => `${draw.pick(['http', 'http', 'https'])}://${authority(draw)}${path(draw)}${query(draw)}`], [1, () => path(draw)], [1, () => draw.pick(['', 'there', 'ftp://a.test/', 'http://', 'http://a.test', 'http://a.test?q=1', 'http://a.test/#x'])]);
}

const numbers = ['0', '1', '7', '19', '40', '007', '18446744073709551615'];

function attempt(draw: Draw): ScriptedAttempt {
  if (draw.chance(0.12)) return { reset: true };
  if (draw.chance(0.003)) return { delayMs: 2500 };
  if (draw.chance(0.12)) return { status: draw.pick([301, 302, 303, 307, 308]), headers: [['location', location(draw)]] };
  return {
    status: draw.pick([200, 200, 404, 409, 418, 429, 500, 502, 503, 504, 204]),
    headers: draw.some<[string, string]>([['x-retry', '1'], ['x-envoy-overloaded', 'true'], ['x-envoy-ratelimited', 'true'], ['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['x-a', 'upstream'], ['X-Empty', '']], 0, 2),
  };
}
