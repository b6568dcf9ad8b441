// What `mesh.listen` takes, told apart without loading express, fastify or grpc-js.
import { Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Http2Server } from 'node:http2';
import { Server as NetServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Server as GrpcServer } from '@grpc/grpc-js';
import type { RouterSpelling } from '@weft/data-plane/internal';

export type RequestListener = (request: IncomingMessage, response: ServerResponse) => void;

/** What Weft needs of a Fastify instance. */
export interface FastifyApp {
  ready(): PromiseLike<unknown>;
  /** Of node:http or of node:http2, as the instance was made. */
  routing(request: never, response: never): void;
  readonly initialConfig: object;
}

export type HttpApp = RequestListener | HttpServer | Http2Server | FastifyApp;
/** Takes connections, as the listeners of a net.Server do. */
export type ConnectionListener = (socket: Socket) => void;
export type ListenTarget = HttpApp | NetServer | ConnectionListener | GrpcServer | { http?: HttpApp; grpc?: GrpcServer };

export interface HttpTarget {
  dispatch(request: IncomingMessage, response: ServerResponse): void;
  /** Of an application's http.Server: its events and limits count. */
  readonly server: HttpServer | undefined;
  readonly http2: boolean;
  readonly router: RouterSpelling;
  ready(): Promise<void>;
}

export interface Targets {
  http?: HttpTarget;
  grpc?: GrpcServer;
  tcp?: ConnectionListener;
}

// Express folds case and trailing slashes in the application and again in each sub-router; what is behind a plain listener
// nobody knows. Too many spellings only deny more.
const folding: RouterSpelling = { caseSensitive: false, strict: false, decodes: true };

/** @throws {TypeError} where it is none of them. */
export function targetsOf(target: ListenTarget, protocol?: 'tcp'): Targets {
  // Only a plain one: servers of HTTPS and HTTP/2 are net.Servers, too, and to be carried as bytes is their application's decision.
  const tcp = protocol === 'tcp' || (typeof target === 'object' && Object.getPrototypeOf(target) === NetServer.prototype);
  if (tcp) return { tcp: tcpTarget(target) };
  if (isGrpcServer(target)) return { grpc: target };
  if (typeof target === 'function' || target instanceof HttpServer || isHttp2Server(target) || isFastify(target)) return { http: httpTarget(target as HttpApp) };
  const { http, grpc } = target as { http?: HttpApp; grpc?: GrpcServer };
  if ((!http && !grpc) || (grpc && !isGrpcServer(grpc))) throw new TypeError('listen: expected an Express app, a Fastify instance, an http.Server, a request listener, a grpc.Server, or { http, grpc }');
  const targets: Targets = { ...(http && { http: httpTarget(http) }), ...(grpc && { grpc }) };
  if (targets.http?.http2 && grpc) throw new TypeError('listen: HTTP/2 on a shared port belongs to gRPC; make the server without http2');
  return targets;
}

function tcpTarget(target: ListenTarget): ConnectionListener {
  if (typeof target === 'function') {
    return (socket) => {
      // As a net.Server makes them: who is told of the end and does nothing is not left half open.
      socket.allowHalfOpen = false;
      (target as ConnectionListener)(socket);
    };
  }
  if (!(target instanceof NetServer)) throw new TypeError('listen: with protocol tcp, expected a net.Server, a tls.Server or a function that takes sockets');
  return (socket) => {
    socket.allowHalfOpen = (target as NetServer & { allowHalfOpen?: boolean }).allowHalfOpen === true;
    target.emit('connection', socket);
  };
}

export function httpTarget(app: HttpApp): HttpTarget {
  if (app instanceof HttpServer) {
    if ((app as HttpServer & { insecureHTTPParser?: boolean }).insecureHTTPParser) throw new TypeError('listen: insecureHTTPParser opens request smuggling; policies would judge another request than the application');
    return {
      dispatch: (request, response) => void (app.emit('request', request, response) || response.writeHead(404).end()),
      server: app, http2: false, router: folding, ready: async () => {},
    };
  }
  if (isHttp2Server(app)) return http2Target(app);
  if (isFastify(app)) return fastifyTarget(app);
  if (typeof app !== 'function') throw new TypeError('listen: http must be an Express app, a Fastify instance, an http.Server or a request listener');
  return { dispatch: app, server: undefined, http2: false, router: folding, ready: async () => {} };
}

/** Of node:http2, through its compatibility API: policies judge requests, and what they change the application has to see. */
function http2Target(app: Http2Server): HttpTarget {
  if (app.listenerCount('stream') > 1 || app.listenerCount('request') === 0) throw new TypeError('listen: an HTTP/2 server is served by its listeners of `request`, not of `stream`');
  return {
    dispatch: (request, response) => void app.emit('request', request, response),
    server: undefined, http2: true, router: folding, ready: async () => {},
  };
}

function fastifyTarget(app: FastifyApp): HttpTarget {
  return {
    dispatch: (request, response) => app.routing(request as never, response as never),
    server: undefined,
    http2: (app.initialConfig as { http2?: boolean }).http2 === true,
    router: fastifySpelling(app.initialConfig),
    ready: async () => void (await app.ready()),
  };
}

/** find-my-way compares decoded paths. @throws where it reads `;` as `?`: policies would see another path. */
export function fastifySpelling(initialConfig: object): RouterSpelling {
  const config = initialConfig as Record<string, unknown> & { routerOptions?: Record<string, unknown> };
  const option = (name: string) => config.routerOptions?.[name] ?? config[name];
  if (option('useSemicolonDelimiter') === true || config['useSemicolonDelimiter'] === true) throw new TypeError('Fastify: useSemicolonDelimiter is not supported in the mesh');
  const truthy = (name: string) => option(name) === true || config[name] === true;
  return { caseSensitive: option('caseSensitive') !== false && config['caseSensitive'] !== false, strict: !truthy('ignoreTrailingSlash'), decodes: true };
}

function isGrpcServer(target: unknown): target is GrpcServer {
  return typeof (target as GrpcServer | undefined)?.createConnectionInjector === 'function';
}

function isHttp2Server(target: unknown): target is Http2Server {
  return target instanceof NetServer && typeof (target as Partial<Http2Server>).updateSettings === 'function';
}

function isFastify(target: unknown): target is FastifyApp {
  const app = target as Partial<FastifyApp> | undefined;
  return typeof target === 'object' && typeof app?.routing === 'function' && typeof app.ready === 'function';
}

export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
