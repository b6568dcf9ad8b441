// Sends the requests of a case and compares what came of them.
import { grpcStatusOf } from '@weft/data-plane/internal';
import grpc from '@grpc/grpc-js';
import { request, type Dispatcher } from 'undici';
import { expect } from 'vitest';
import { echoService } from '../support/echo-servers.js';
import { answerHeader, type CaseBackend } from './case-backend.js';
import { decode, encode } from './coding.js';
import type { ConformanceCase, Exchange, Outcome, Protocol } from './conformance-case.js';

/** Where a case's requests go, over one protocol. */
export interface Target {
  readonly protocol: Protocol;
  /** `http://…` or a gRPC target. */
  readonly url: string;
  readonly dispatcher?: Dispatcher;
  readonly grpcOptions?: grpc.ClientOptions;
  readonly backend: CaseBackend;
}

export async function runCase({ exchanges }: ConformanceCase, target: Target): Promise<void> {
  const client = target.protocol === 'grpc' ? new grpc.Client(target.url, grpc.credentials.createInsecure(), target.grpcOptions) : undefined;
  try {
    for (const [index, exchange] of exchanges.entries()) {
      if (exchange.only !== undefined && exchange.only !== target.protocol) continue;
      const startedAt = performance.now();
      const outcome = await (client ? call(client, exchange, target) : send(exchange, target));
      check(exchange, outcome, target.protocol, `exchange ${index}: ${JSON.stringify(outcome)}`);
      if (exchange.expect.minimumMs !== undefined) expect(performance.now() - startedAt).toBeGreaterThanOrEqual(exchange.expect.minimumMs);
    }
  } finally {
    client?.close();
  }
}

async function send(exchange: Exchange, { url, dispatcher, backend }: Target): Promise<Outcome> {
  const seen = backend.begin();
  const { method = 'GET', path = '/' } = exchange;
  const response = await request(`${url}${path}`, { method: method as Dispatcher.HttpMethod, headers: headersOf(exchange), ...(exchange.body !== undefined && { body: encode(exchange.body, exchange.coding) }), ...(dispatcher && { dispatcher }) });
  const headers = Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, String(value)]));
  const bytes = Buffer.from(await response.body.arrayBuffer());
  return { status: response.statusCode, grpcStatus: undefined, headers, body: bytes.toString(), bytes, seen: seen().at(-1), attempts: seen().length };
}

function call(client: grpc.Client, exchange: Exchange, { backend }: Target): Promise<Outcome> {
  const seen = backend.begin();
  const { path, requestSerialize, responseDeserialize } = echoService.Echo;
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(headersOf(exchange))) for (const one of [value].flat()) metadata.add(name, one);
  return new Promise((resolve) => {
    const headers: Record<string, string> = {};
    const add = (more: grpc.Metadata) => {
      for (const [name, value] of Object.entries(more.getMap())) headers[name] = String(value);
    };
    let message = '';
    const running = client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, metadata, { deadline: Date.now() + 10_000 }, (_error, value) => (message = String(value ?? '')));
    running.on('metadata', add);
    running.on('status', ({ code, details, metadata: trailers }) => {
      add(trailers);
      resolve({ status: 200, grpcStatus: code, headers, body: details || message, seen: seen().at(-1), attempts: seen().length });
    });
  });
}

function headersOf({ headers, answer }: Exchange): Record<string, string | string[]> {
  return { ...(headers as Record<string, string | string[]>), ...(answer && { [answerHeader]: JSON.stringify(answer) }) };
}

function check({ expect: expected }: Exchange, outcome: Outcome, protocol: Protocol, what: string): void {
  const { status = 200, grpcStatus = status === 200 ? 0 : grpcStatusOf({ status }), headers = {}, body, coding, seen, seenPath, attempts, seenBody, seenCoding } = expected;
  if (protocol === 'http') expect(outcome.status, what).toBe(status);
  else expect(outcome.grpcStatus, what).toBe(grpcStatus);
  compare(headers, outcome.headers, what);
  const text = outcome.bytes && coding ? decode(outcome.bytes, coding) : outcome.body;
  if (body instanceof RegExp) expect(text, what).toMatch(body);
  else if (body !== undefined) expect(text, what).toBe(body);
  if (seenBody !== undefined && protocol === 'http') expect(decode(outcome.seen?.body ?? Buffer.alloc(0), seenCoding), what).toBe(seenBody);
  if (seen === false) expect(outcome.seen, what).toBeUndefined();
  else if (seen) compare(seen, outcome.seen?.headers ?? {}, what);
  if (attempts !== undefined) expect(outcome.attempts, what).toBe(attempts);
  if (seenPath !== undefined && protocol === 'http') expect(outcome.seen?.path, what).toBe(seenPath);
}

function compare(expected: Readonly<Record<string, string | RegExp | undefined>>, actual: Readonly<Record<string, string>>, what: string): void {
  for (const [name, value] of Object.entries(expected)) {
    if (value instanceof RegExp) expect(actual[name], `${name}, ${what}`).toMatch(value);
    // Several values of a header are a list, however they are written.
    else expect(actual[name]?.replaceAll(', ', ','), `${name}, ${what}`).toBe(value?.replaceAll(', ', ','));
  }
}
