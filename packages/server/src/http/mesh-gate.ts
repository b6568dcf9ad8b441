// The inbound engine in front of an application that listens by itself.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { connectionInfo, Drain, type Clock, type ConnectionInfo, type InboundListener, type RouterSpelling } from '@weft/data-plane/internal';
import type { MeshServer } from '../mesh-server.js';
import { handleRequest, type NodeHandlerOptions } from './node-handler.js';
import { holdBody } from './request-intake.js';
import { sendReply } from './response.js';

export interface GateOptions {
  /** The port that the application listens on: it is registered when the middleware is made. */
  port: number;
  /** As bound. Default `::`. */
  host?: string;
  /** Name of the port in the WorkloadGroup or Service. Default `http`. */
  name?: string;
  /** How long a request waits for the first configuration before it is refused, ms. Default 10000. */
  configTimeoutMs?: number;
}

export class MeshGate {
  readonly #inbound: InboundListener;
  readonly #clock: Clock;
  readonly #handler: NodeHandlerOptions;
  readonly #connections = new WeakMap<Socket, ConnectionInfo>();
  readonly #configTimeoutMs: number;
  #closing = false;

  constructor(mesh: MeshServer, { port, host = '::', name = 'http', configTimeoutMs = 10_000 }: GateOptions, router: RouterSpelling, pathIsFixed = false) {
    const { clock, inbound } = mesh.attach(() => {
      this.#closing = true;
      this.#inbound.close();
    });
    this.#clock = clock;
    this.#inbound = inbound.listen({ portName: name, host, port });
    this.#configTimeoutMs = configTimeoutMs;
    this.#handler = { inbound: this.#inbound, router, requests: new Drain(clock), closing: () => this.#closing, pathIsFixed };
  }

  handle(request: IncomingMessage, response: ServerResponse, next: () => void): void {
    if (this.#inbound.tlsMode !== 'unknown') return this.#judge(request, response, next);
    holdBody(request);
    const waiting = new AbortController();
    const timer = this.#clock.setTimeout(() => waiting.abort(), this.#configTimeoutMs);
    const go = () => {
      timer.cancel();
      if (!response.destroyed) this.#judge(request, response, next);
    };
    this.#inbound.ready(waiting.signal).then(go, go);
  }

  #judge(request: IncomingMessage, response: ServerResponse, next: () => void): void {
    let connection = this.#connections.get(request.socket);
    if (!connection) {
      // The application's own TLS says nothing about identities of the mesh.
      connection = { ...connectionInfo(plainView(request.socket)), tls: false };
      this.#connections.set(request.socket, connection);
    }
    try {
      handleRequest(request, response, connection, this.#handler, next);
    } catch (error) {
      sendReply(response, { status: 500, body: '', details: 'engine_failed', error: error as Error }, undefined);
    }
  }
}

function plainView({ remoteAddress, remotePort, localAddress, localPort }: Socket): Socket {
  return { remoteAddress, remotePort, localAddress, localPort } as Socket;
}
