// mesh.agent: node:http clients (axios, got, the AWS SDK) in the mesh. Their requests take the way of all others, through the engine.
import { AsyncLocalStorage } from 'node:async_hooks';
import http, { Agent, type ClientRequest } from 'node:http';
import type { OutboundEngine } from '@weft/data-plane/internal';
import type { Passage } from '../http/passage.js';
import { InProcessSocket } from './in-process-socket.js';
import type { InProcessServer } from './in-process-server.js';

export interface MeshAgentServices {
  readonly engine: OutboundEngine;
  readonly passage: Passage;
  readonly server: InProcessServer;
}

export interface RequestOptions {
  host?: string | null | undefined;
  port?: number | string | null | undefined;
  socketPath?: string | null | undefined;
}

/** What Node calls for each request; left out of the types. */
export interface RequestSink {
  addRequest(request: ClientRequest, options: RequestOptions): void;
}

export class MeshAgent extends Agent {
  readonly #services: MeshAgentServices;
  /** Where requests to other hosts go. */
  fallback: () => Agent = () => http.globalAgent;

  constructor(services: MeshAgentServices) {
    super({ keepAlive: true });
    this.#services = services;
  }

  addRequest(request: ClientRequest, options: RequestOptions): void {
    const { engine, passage } = this.#services;
    if (options.socketPath) return this.#outside(request, options);
    const authority = authorityOf(options);
    const lookup = engine.lookup('http', authority);
    if (lookup.kind === 'pending' && passage.allowed(authority)) {
      // Until it is known whose it is: what connects is chosen once.
      void passage.settle(lookup, authority).then((settled) => {
        if (settled.kind === 'mesh') this.#inside(request, options);
        else this.#absent(settled.error, authority, request, options);
      });
    } else if (lookup.kind === 'absent') this.#absent(lookup.error, authority, request, options);
    else this.#inside(request, options);
  }

  override createConnection(options: RequestOptions): InProcessSocket {
    return this.#services.server.connect(`http://${authorityOf(options)}`);
  }

  #inside(request: ClientRequest, options: RequestOptions): void {
    // Sockets are kept, and made by whichever request was first: each request runs in the context it was made in.
    const run = AsyncLocalStorage.snapshot();
    request.once('socket', (socket: unknown) => {
      if (socket instanceof InProcessSocket) socket.peer.run = run;
    });
    (Agent.prototype as unknown as RequestSink).addRequest.call(this, request, options);
  }

  #absent(error: Error, authority: string, request: ClientRequest, options: RequestOptions): void {
    if (this.#services.passage.allows(error, authority)) this.#outside(request, options);
    else fail(request, error);
  }

  #outside(request: ClientRequest, options: RequestOptions): void {
    (this.fallback() as unknown as RequestSink).addRequest(request, options);
  }
}

/** As Node's agent says that there is no connection: `destroy` would wait for one. */
export function fail(request: ClientRequest, error: Error): void {
  (request as unknown as { onSocket(socket: null, error: Error): void }).onSocket(null, error);
}

export function authorityOf({ host, port }: RequestOptions, defaultPort = 80): string {
  const name = host || 'localhost';
  return `${name.includes(':') ? `[${name}]` : name}:${port || defaultPort}`;
}
