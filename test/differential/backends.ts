// Backends that note what arrives and answer as the request's script says. Each listens on a port of its own, for Envoy and Weft alike.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Arrival, HeaderValues, ScriptedAttempt } from './model.js';

/** Tells which case, and which side, an arrival belongs to. Both sides' access logs know this header too. */
export const idHeader = 'x-request-id';
export const scriptHeader = 'x-script';

export class Backends {
  readonly #servers: Server[] = [];
  readonly #arrivals = new Map<string, Arrival[]>();
  /** Attempts that came so far, by request and whether they are a mirror's. */
  readonly #counts = new Map<string, number>();
  lastArrival = 0;

  /** @returns its port. */
  async add(host: string): Promise<number> {
    const server = createServer({ keepAliveTimeout: 0 }, (request, response) => this.#serve(host, request, response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  take(id: string): Arrival[] {
    const arrivals = this.#arrivals.get(id) ?? [];
    this.#arrivals.delete(id);
    this.#counts.delete(id);
    this.#counts.delete(`${id} mirror`);
    return arrivals;
  }

  async close(): Promise<void> {
    await Promise.all(this.#servers.map(async (server) => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    }));
  }

  #serve(host: string, request: IncomingMessage, response: ServerResponse): void {
    const headers = headerValues(request.rawHeaders);
    const authority = headers['host']?.join(',') ?? '';
    delete headers['host'];
    const id = headers[idHeader]?.[0] ?? '';
    const arrival: Arrival = { host, method: request.method ?? '', path: request.url ?? '', authority, headers, bodyBytes: 0 };
    this.lastArrival = performance.now();
    const known = this.#arrivals.get(id);
    if (known) known.push(arrival);
    else this.#arrivals.set(id, [arrival]);
    const key = isMirror(arrival) ? `${id} mirror` : id;
    const count = this.#counts.get(key) ?? 0;
    this.#counts.set(key, count + 1);
    const script = headers[scriptHeader] ? (JSON.parse(Buffer.from(headers[scriptHeader].join(''), 'base64url').toString()) as ScriptedAttempt[]) : [];
    request.on('data', (chunk: Buffer) => (arrival.bodyBytes += chunk.length));
    request.on('error', () => undefined);
    request.on('end', () => answer(host, script[count] ?? {}, request, response));
  }
}

/** Mirrored requests are told by their authority, before whatever looks like its port; no generated one has it. */
export function isMirror({ authority }: Pick<Arrival, 'authority'>): boolean {
  return /-shadow(:.*)?$/.test(authority);
}

function answer(host: string, { status = 200, headers = [], reset, delayMs }: ScriptedAttempt, request: IncomingMessage, response: ServerResponse): void {
  // Which host it was is compared by what arrived: it is not always determined.
  const cluster = host.slice(0, host.indexOf('/'));
  const run = () => {
    if (reset) return void request.socket.destroy();
    response.sendDate = false;
    const raw = ['x-from', cluster, 'x-resp', 'r1', 'x-resp', 'r2', 'x-hidden', 'h', ...headers.flat()];
    response.writeHead(status, [...raw, 'content-length', request.method === 'HEAD' || status === 204 || status === 304 ? '0' : String(cluster.length)]);
    response.end(request.method === 'HEAD' || status === 204 || status === 304 ? undefined : cluster);
  };
  if (delayMs === undefined) run();
  else setTimeout(run, delayMs);
}

export function headerValues(raw: readonly (string | Buffer)[]): HeaderValues {
  const values: HeaderValues = {};
  for (let i = 0; i + 1 < raw.length; i += 2) (values[text(raw[i]!).toLowerCase()] ??= []).push(text(raw[i + 1]!));
  return values;
}

function text(value: string | Buffer): string {
  return typeof value === 'string' ? value : value.toString('latin1');
}
