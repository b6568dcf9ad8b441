// The control plane's HTTP port: health, metrics and the JSON API below /v1. Others add routes to it.
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP, type AddressInfo } from 'node:net';
import { silentLogger, type Logger } from '@weft/spiffe';
import { hostPort, isLoopback, PortInUse } from '../discovery/grpc-listener.js';

export interface AdminRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** The parsed JSON of a mutating request. */
  readonly body: unknown;
}

/** What it returns is the answer's JSON; {@link AdminText} for anything else. */
export type AdminHandler = (request: AdminRequest) => unknown;

/** An answer with a status and a reason, `{"error": reason}`. */
export class AdminError extends Error {
  readonly status: number;
  constructor(status: number, reason: string) {
    super(reason);
    this.name = 'AdminError';
    this.status = status;
  }
}

export class AdminText {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
  constructor(text: string, { status = 200, contentType = 'text/plain; charset=utf-8' }: { status?: number; contentType?: string } = {}) {
    this.text = text;
    this.status = status;
    this.contentType = contentType;
  }
}

export interface AdminServerOptions {
  /** Bearer token of mutating requests. Absent: there are none. */
  token?: string;
  /** Host names besides addresses and localhost by which browsers may reach it. */
  hosts?: readonly string[];
  /** Answers /v1 beyond loopback too, and so sends the token in plain text. */
  allowInsecure?: boolean;
  logger?: Logger;
}

/** Probes and scrapers come by any name and from anywhere, and learn no configuration. */
const openPaths = new Set(['/healthz', '/readyz', '/metrics']);
const bodyLimit = 1024 * 1024;

export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #logger: Logger;
  readonly #routes = new Map<string, Map<string, AdminHandler>>();
  readonly #server: Server;

  constructor(options: AdminServerOptions = {}) {
    this.#options = options;
    this.#logger = options.logger ?? silentLogger;
    this.#server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => void this.#handle(request, response));
  }

  /** Adds a route; `path` is exact. Anything but GET needs the admin token and a JSON body. */
  route(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, handler: AdminHandler): void {
    const methods = this.#routes.get(path) ?? new Map<string, AdminHandler>();
    if (methods.has(method)) throw new Error(`${method} ${path} exists already`);
    this.#routes.set(path, methods.set(method, handler));
  }

  routes(): { method: string; path: string }[] {
    return [...this.#routes].flatMap(([path, methods]) => [...methods.keys()].map((method) => ({ method, path })));
  }

  /** @returns HOST:PORT. @throws {@link PortInUse} */
  async listen(host: string, port: number): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => reject(error.code === 'EADDRINUSE' ? new PortInUse('http port', hostPort(host, port)) : error));
      this.#server.listen(port, host, resolve);
    });
    return hostPort(host, (this.#server.address() as AddressInfo).port);
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.#server.closeAllConnections();
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'http://localhost');
      this.#guard(request, url.pathname);
      const methods = this.#routes.get(url.pathname);
      if (!methods) throw new AdminError(404, `there is no ${url.pathname}; GET /v1 lists what there is`);
      const method = request.method === 'HEAD' ? 'GET' : (request.method ?? 'GET');
      const handler = methods.get(method);
      if (!handler) {
        response.setHeader('allow', [...methods.keys()].join(', '));
        throw new AdminError(405, `${url.pathname} takes ${[...methods.keys()].join(', ')}`);
      }
      const body = method === 'GET' ? undefined : await this.#body(request);
      respond(response, await handler({ method, path: url.pathname, query: url.searchParams, body }));
    } catch (error) {
      const code = error instanceof AdminError ? error.status : error instanceof TypeError || error instanceof RangeError ? 400 : 500;
      if (code === 500) this.#logger.error({ err: error, path: request.url }, 'an admin request failed');
      if (!response.headersSent) respond(response, { error: error instanceof Error ? error.message : String(error) }, code);
    }
  }

  /**
   * A page in the operator's browser must not reach the API: not through a name of its own that it points at this address (Host),
   * and not with a request that browsers send across origins unasked (Origin, JSON content type, token).
   */
  #guard(request: IncomingMessage, path: string): void {
    const { host = '', origin } = request.headers;
    if (openPaths.has(path)) return;
    if (!this.#options.allowInsecure && !isLoopback(request.socket.remoteAddress ?? '')) throw new AdminError(403, `${path} is answered on loopback only`);
    const name = host.replace(/:\d+$/, '').toLowerCase();
    const known = name === 'localhost' || isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0 || (this.#options.hosts ?? []).includes(name);
    if (!known) throw new AdminError(403, `this server does not answer for host ${JSON.stringify(name.slice(0, 100))}`);
    if (origin !== undefined && origin !== `http://${host}`) throw new AdminError(403, 'requests of other origins are refused');
  }

  async #body(request: IncomingMessage): Promise<unknown> {
    this.#authorize(request.headers.authorization);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > bodyLimit) throw new AdminError(413, `the body is larger than ${bodyLimit} bytes`);
      chunks.push(chunk);
    }
    if (size === 0) return undefined;
    if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) throw new AdminError(415, 'the body must be application/json');
    try {
      return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
    } catch {
      throw new AdminError(400, 'the body is not JSON');
    }
  }

  #authorize(header: string | undefined): void {
    const { token } = this.#options;
    if (!token) throw new AdminError(403, 'this control plane has no admin token; it cannot be changed through this port');
    const given = /^Bearer (\S+)$/i.exec(header ?? '')?.[1];
    // Hashing first makes the lengths equal, so that neither content nor length shows in the time it takes.
    if (given === undefined || !timingSafeEqual(digest(given), digest(token))) throw new AdminError(401, 'the admin token is missing or wrong (authorization: Bearer TOKEN)');
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function respond(response: ServerResponse, value: unknown, status = 200): void {
  const text = value instanceof AdminText ? value : undefined;
  response.writeHead(text?.status ?? (value === undefined ? 204 : status), {
    ...(value !== undefined && { 'content-type': text?.contentType ?? 'application/json; charset=utf-8' }),
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'",
    'x-content-type-options': 'nosniff',
    // A body that was refused unread would be taken for the next request.
    ...(status >= 400 && { connection: 'close' }),
  });
  response.end(text?.text ?? (value === undefined ? undefined : `${JSON.stringify(value)}\n`));
}
