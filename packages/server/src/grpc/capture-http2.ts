import type { Http2Server } from 'node:http2';

interface Http2Module {
  createServer(options?: object, ...rest: unknown[]): Http2Server;
}

/**
 * The HTTP/2 server that a piece of code makes while it runs. grpc-js does not show the one behind a connection injector, and
 * interceptors do not see calls of unknown methods: without the server those calls would pass by every policy.
 */
export function captureHttp2Server<T>(make: () => T, options: object): { result: T; server: Http2Server } {
  const http2 = process.getBuiltinModule('node:http2') as unknown as Http2Module;
  const { createServer } = http2;
  const made: Http2Server[] = [];
  http2.createServer = (own, ...rest) => {
    const server = createServer.call(http2, { ...own, ...options }, ...rest);
    made.push(server);
    return server;
  };
  try {
    const result = make();
    const [server] = made;
    if (!server || made.length !== 1) throw new Error(`expected this version of @grpc/grpc-js to make one HTTP/2 server, it made ${made.length}`);
    return { result, server };
  } finally {
    http2.createServer = createServer;
  }
}
