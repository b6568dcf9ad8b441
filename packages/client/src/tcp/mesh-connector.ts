// Connections of the application whose bytes the mesh carries: to a service's TCP port, or outside.
import net, { type Socket } from 'node:net';
import { MeshError, type OutboundEngine, type OutboundTcpSnapshot, type TcpTransport } from '@weft/data-plane/internal';
import type { Passage } from '../http/passage.js';
import type { Running } from '../in-flight.js';

/** `HOST:PORT` as it would be dialled without the mesh. */
export type ConnectTarget = string | { readonly host: string; readonly port: number };

export interface ConnectOptions {
  signal?: AbortSignal | undefined;
  /** Which name the application's own TLS will ask for, where routes tell by it. */
  serverName?: string | undefined;
  /** As net.connect's. Default false. */
  allowHalfOpen?: boolean | undefined;
}

export interface ConnectorServices {
  readonly engine: OutboundEngine;
  readonly passage: Passage;
  readonly transport: TcpTransport;
  started(running: Running): void;
  ended(running: Running): void;
  closed(): boolean;
}

/** `outside`: not the mesh's, and allowed to leave it. */
export type Found = { kind: 'mesh'; snapshot: OutboundTcpSnapshot } | { kind: 'outside' };

export class MeshConnector {
  readonly #services: ConnectorServices;

  constructor(services: ConnectorServices) {
    this.#services = services;
  }

  /** Resolves with the connection itself: a Socket, or a TLSSocket where the mesh secures it. */
  async connect(target: ConnectTarget, options: ConnectOptions = {}): Promise<Socket> {
    const { engine, transport, closed } = this.#services;
    options.signal?.throwIfAborted();
    if (closed()) throw new MeshError('WEFT_CLOSED', 'no connections after close()');
    const authority = typeof target === 'string' ? target : authorityOf(target.host, target.port);
    const found = await this.find(authority, 0, options.signal);
    const socket = found.kind === 'mesh' ? await engine.connectTcp(found.snapshot, { transport, ...options }) : await connectOutside(authority, options);
    this.#count(socket);
    return socket;
  }

  /** Now where it is known already. @throws, or rejects, where the name is neither the mesh's nor may pass. */
  find(authority: string, defaultPort = 0, signal?: AbortSignal): Found | Promise<Found> {
    const { engine, passage } = this.#services;
    const lookup = engine.lookupTcp(authority, defaultPort);
    const settle = (settled: Exclude<typeof lookup, { kind: 'pending' }>): Found => {
      if (settled.kind === 'mesh') return settled;
      if (passage.allows(settled.error, authority)) return { kind: 'outside' };
      throw settled.error;
    };
    if (lookup.kind !== 'pending') return settle(lookup);
    return (passage.allowed(authority) ? passage.settle(lookup, authority) : lookup.wait(signal)).then(settle);
  }

  /** For the application's own TLS. A service of the mesh that has only an HTTP port may, by its name, also be one of the world's. */
  async findSecure(authority: string): Promise<Found> {
    try {
      return await this.find(authority, 443);
    } catch (error) {
      if (error instanceof MeshError && error.code === 'WEFT_WRONG_PROTOCOL' && this.#services.passage.allowed(authority)) return { kind: 'outside' };
      throw error;
    }
  }

  #count(socket: Socket): void {
    const { started, ended } = this.#services;
    const running: Running = { giveUp: (reason) => void socket.destroy(reason) };
    started(running);
    socket.once('close', () => ended(running));
  }
}

export function authorityOf(host: string, port: number | string): string {
  return `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;
}

function connectOutside(authority: string, { signal, allowHalfOpen = false }: ConnectOptions): Promise<Socket> {
  const { hostname, port } = new URL(`tcp://${authority}`);
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port), allowHalfOpen });
    const onAbort = () => socket.destroy(signal!.reason as Error);
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.once('error', reject).once('connect', () => {
      signal?.removeEventListener('abort', onAbort);
      socket.off('error', reject);
      resolve(socket);
    });
  });
}
