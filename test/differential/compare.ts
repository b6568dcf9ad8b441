// Where two observations of one request differ.
import type { Arrival, Difference, HeaderValues, Observation } from './model.js';

/** Headers that say which hops a message took and how it was framed: a library is no hop, and has connections of its own. */
export const hopHeaders: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'transfer-encoding', 'date', 'server', 'content-length',
  'x-request-id', 'x-forwarded-proto', 'x-envoy-internal', 'x-envoy-upstream-service-time',
  'x-forwarded-for', 'traceparent', 'tracestate', 'x-envoy-peer-metadata', 'x-envoy-peer-metadata-id',
]);

export function differences(envoy: Observation, weft: Observation): Difference[] {
  const found: Difference[] = [];
  const compare = (field: string, a: unknown, b: unknown) => {
    const [left, right] = [a, b].map((value) => (typeof value === 'string' ? value : JSON.stringify(value)));
    if (left !== right) found.push({ field, envoy: left ?? '', weft: right ?? '' });
  };
  compare('status', envoy.status || envoy.error, weft.status || weft.error);
  if (envoy.error !== undefined || weft.error !== undefined) return found;
  compareHeaders('response', envoy.headers, weft.headers, compare);
  compare('body', envoy.body, weft.body);
  compare('flags', envoy.flags, weft.flags);
  compare('details', envoy.details, weft.details);
  compare('cluster', envoy.cluster, weft.cluster);
  compare('route', envoy.route, weft.route);
  compareArrivals('attempt', envoy.attempts, weft.attempts, compare);
  compareArrivals('mirror', envoy.mirrored, weft.mirrored, compare);
  return found;
}

type Compare = (field: string, a: unknown, b: unknown) => void;

function compareArrivals(kind: string, envoy: readonly Arrival[], weft: readonly Arrival[], compare: Compare): void {
  compare(`${kind}s`, envoy.length, weft.length);
  for (let i = 0; i < Math.min(envoy.length, weft.length); i++) {
    const [a, b] = [envoy[i]!, weft[i]!];
    for (const field of ['host', 'method', 'path', 'authority', 'bodyBytes'] as const) compare(`${kind} ${i} ${field}`, a[field], b[field]);
    compareHeaders(`${kind} ${i}`, a.headers, b.headers, compare);
  }
}

function compareHeaders(of: string, envoy: HeaderValues, weft: HeaderValues, compare: Compare): void {
  for (const name of new Set([...Object.keys(envoy), ...Object.keys(weft)])) {
    // One header twice or its values in one: the same message.
    compare(`${of} ${name}`, joined(envoy[name]), joined(weft[name]));
  }
}

/** Differences of one kind: attempts are not told apart, and values count only where they are few. */
export function kindOf({ field, envoy, weft }: Difference): string {
  const values = /^(status|flags)$/.test(field) ? ` ${envoy.slice(0, 40)} ${weft.slice(0, 40)}` : '';
  return field.replace(/ \d+\b/, '') + values;
}

function joined(values: string[] | undefined): string[] | null {
  return values === undefined || values.length < 2 ? (values ?? null) : [values.filter((value) => value !== '').join(',')];
}
