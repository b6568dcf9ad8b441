// gRPC calls through a real Envoy and through Weft's channel: status, metadata, and what backends saw of each attempt.
import { describe, expect, it } from 'vitest';
import { peers } from '../../scripts/peers.mjs';
import { seededRandom } from '../support/random.js';
import { hopHeaders } from './compare.js';
import { Draw } from './generate/draw.js';
import { grpcCall, grpcRoutes } from './generate/grpc-case.js';
import { grpcObservations, type GrpcCase, type GrpcObservation } from './grpc-arena.js';
import type { HeaderValues } from './model.js';

const { envoy } = peers();
const wanted = Math.ceil(Number(process.env['WEFT_DIFFERENTIAL_CASES'] ?? 10_000) / 5);
const callsPerTable = 20;
/** Of each connection, and what gRPC's own clients say of themselves. */
const ownHeaders = new Set([...hopHeaders, 'content-type', 'user-agent', 'te', 'accept-encoding', 'grpc-accept-encoding', 'grpc-timeout', 'grpc-previous-rpc-attempts', 'x-envoy-expected-rq-timeout-ms']);

describe.skipIf(envoy.missing !== undefined)(`Weft's gRPC channel decides as Envoy 1.40 does${envoy.missing ? ` (skipped: ${envoy.missing})` : ''}`, () => {
  const random = seededRandom(Number(process.env['WEFT_SEED'] ?? 1));

  it(`in ${wanted} random calls (WEFT_SEED=${random.seed})`, { timeout: 120_000 + wanted * 20 }, async () => {
    const draw = new Draw(random);
    const cases = Array.from({ length: Math.ceil(wanted / callsPerTable) }, () => grpcRoutes(draw)).flatMap((routes) => Array.from({ length: callsPerTable }, (): GrpcCase => ({ routes, call: grpcCall(draw) })));
    const outcomes = await grpcObservations(envoy.path as string, cases);
    const found = new Map<string, string[]>();
    outcomes.forEach(({ envoy: left, weft: right }, i) => {
      const [first] = differences(left, right);
      if (first) found.set(first.field, [...(found.get(first.field) ?? []), `${first.field}: Envoy ${first.envoy}, Weft ${first.weft}\n  ${JSON.stringify(cases[i])}`]);
    });
    const reports = [...found.values()].map((list) => `${list.length} cases of ${list.toSorted((a, b) => a.length - b.length)[0]}`);
    expect(reports.join('\n'), `WEFT_SEED=${random.seed}`).toBe('');
    // Calls that all end alike would compare nothing.
    const retried = outcomes.filter(({ envoy: side }) => side.attempts.length > 1).length;
    const failed = outcomes.filter(({ envoy: side }) => side.code !== 0).length;
    if (wanted >= 1000) for (const count of [retried, failed, outcomes.length - failed]) expect(count).toBeGreaterThan(wanted / 50);
  });
});

function differences(envoySide: GrpcObservation, weftSide: GrpcObservation): { field: string; envoy: string; weft: string }[] {
  const found: { field: string; envoy: string; weft: string }[] = [];
  const compare = (field: string, left: unknown, right: unknown) => {
    const [a, b] = [JSON.stringify(left), JSON.stringify(right)];
    if (a !== b) found.push({ field, envoy: a ?? '', weft: b ?? '' });
  };
  compare('code', envoySide.code, weftSide.code);
  compare('attempts', envoySide.attempts.length, weftSide.attempts.length);
  if (envoySide.attempts.length > 0) compare('message', envoySide.message, weftSide.message);
  compareHeaders('metadata', envoySide.metadata, weftSide.metadata, compare);
  envoySide.attempts.forEach((left, i) => {
    const right = weftSide.attempts[i];
    if (!right) return;
    for (const field of ['host', 'path', 'authority'] as const) compare(`attempt ${field}`, left[field], right[field]);
    compareHeaders('attempt', left.headers, right.headers, compare);
  });
  return found;
}

function compareHeaders(of: string, left: HeaderValues, right: HeaderValues, compare: (field: string, left: unknown, right: unknown) => void): void {
  for (const name of new Set([...Object.keys(left), ...Object.keys(right)])) if (!ownHeaders.has(name)) compare(`${of} ${name}`, joined(left[name]), joined(right[name]));
}

/** Values of one name are a list, however they are written. */
function joined(values: readonly string[] | undefined): string | undefined {
  return values?.join(',').replaceAll(', ', ',');
}
