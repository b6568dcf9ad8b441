// mesh.httpsAgent: clients of node:https. The application's own TLS, in a connection that the mesh carries as bytes.
import type { ClientRequest } from 'node:http';
import https, { Agent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { MeshConnector } from '../tcp/mesh-connector.js';
import { authorityOf, fail, type RequestOptions, type RequestSink } from './mesh-agent.js';

type Made = (error: Error | null, socket: Duplex) => void;

export class MeshHttpsAgent extends Agent {
  readonly #connector: MeshConnector;
  /** Where requests to other hosts go. */
  fallback: () => Agent = () => https.globalAgent;

  constructor(connector: MeshConnector) {
    super({ keepAlive: true });
    this.#connector = connector;
  }

  addRequest(request: ClientRequest, options: RequestOptions): void {
    const outside = () => (this.fallback() as unknown as RequestSink).addRequest(request, options);
    if (options.socketPath) return outside();
    const inside = () => (Agent.prototype as unknown as RequestSink).addRequest.call(this, request, options);
    void (async () => this.#connector.findSecure(authorityOf(options, 443)))().then(
      ({ kind }) => (kind === 'mesh' ? inside() : outside()),
      (error: unknown) => fail(request, error as Error),
    );
  }

  override createConnection(options: RequestOptions, made?: Made): undefined {
    const { servername } = options as { servername?: string };
    this.#connector.connect(authorityOf(options, 443), { serverName: servername || options.host || undefined }).then(
      // Node's own, with its cache of sessions: TLS over the socket it is given.
      (socket) => made?.(null, super.createConnection({ ...options, socket } as never) as TLSSocket),
      (error: unknown) => (made as ((error: Error) => void) | undefined)?.(error as Error),
    );
    return undefined;
  }
}
