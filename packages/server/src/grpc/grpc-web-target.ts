// Which HTTP/1.1 connections and requests belong to a grpc.Server: those of browsers, where the listener has the gRPC-Web filter.
import type { InboundListener } from '@weft/data-plane/internal';
import type { AcceptedConnection } from '../listener/accepted-connection.js';
import type { HttpTarget } from '../target.js';
import { GrpcWebBridge } from './grpc-web-bridge.js';

/** Whether HTTP/1.1 makes sense on a port of gRPC alone. */
export function servesWeb(inbound: InboundListener, { info }: AcceptedConnection): boolean {
  return inbound.chainFor(info)?.config.http.httpFilters.some(({ factory }) => factory.name === 'envoy.filters.http.grpc_web') === true;
}

/** The application, if there is one beside the grpc.Server, with calls taken out. */
export function webTarget(bridge: GrpcWebBridge, app: HttpTarget | undefined): HttpTarget {
  return {
    // gRPC names a method with exactly one string.
    router: app?.router ?? { caseSensitive: true, strict: true, decodes: false },
    server: app?.server,
    http2: app?.http2 ?? false,
    ready: async () => app?.ready(),
    dispatch(request, response) {
      if (GrpcWebBridge.takes(request)) bridge.serve(request, response);
      else if (app) app.dispatch(request, response);
      else response.writeHead(415, { 'content-type': 'text/plain' }).end('this port serves gRPC and gRPC-Web');
    },
  };
}
