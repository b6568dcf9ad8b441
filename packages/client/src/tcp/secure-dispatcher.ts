// https:// to a host of the mesh: the application's own TLS inside a connection that the mesh carries as bytes.
import type { ConnectionOptions } from 'node:tls';
import { Agent, buildConnector } from 'undici';
import { authorityOf, type MeshConnector } from './mesh-connector.js';

/** @param tls of the application: what it trusts, what it shows. */
export function secureDispatcher(connector: MeshConnector, tls: ConnectionOptions): Agent {
  const secure = buildConnector({ ...tls, allowH2: true } as buildConnector.BuildOptions);
  return new Agent({
    connect: (options, callback) => {
      const { hostname, port, servername } = options;
      const failed = (error: unknown) => callback(error as Error, null);
      connector.connect(authorityOf(hostname, port || 443), { serverName: servername || tls.servername || hostname }).then(
        (socket) => secure({ ...options, httpSocket: socket }, callback),
        failed,
      );
    },
  });
}
