import { acquireRuntime, type RuntimeOptions } from '@weft/data-plane/internal';
import { MeshServer, type MeshServerSettings } from './mesh-server.js';

export type { ListeningServer, ListenOptions, LoadReports, MeshServer, MeshServerSettings, MeshServerStatus } from './mesh-server.js';
export type { ConnectionListener, FastifyApp, HttpApp, ListenTarget, RequestListener } from './target.js';

export interface MeshServerOptions extends RuntimeOptions, MeshServerSettings {
  handleSigterm?: boolean;
}

/**
 * Joins the mesh as a server. Synchronous: connections wait for configuration, `mesh.ready()` says when it is there. Shares one runtime
 * with everything else of Weft in the process. Workers of `cluster` and PM2 that share a port each keep their own stream to the control
 * plane and register the same address, which counts once.
 * @throws {MeshError} WEFT_BOOTSTRAP_INVALID, WEFT_VERSION_MISMATCH.
 */
export function createMeshServer(options: MeshServerOptions = {}): MeshServer {
  const { configTimeoutMs, peekTimeoutMs, detectTimeoutMs, drainDelayMs, drainTimeoutMs, handleSigterm, ...runtimeOptions } = options;
  const settings: MeshServerSettings = {
    ...(configTimeoutMs !== undefined && { configTimeoutMs }),
    ...(peekTimeoutMs !== undefined && { peekTimeoutMs }),
    ...(detectTimeoutMs !== undefined && { detectTimeoutMs }),
    ...(drainDelayMs !== undefined && { drainDelayMs }),
    ...(drainTimeoutMs !== undefined && { drainTimeoutMs }),
    ...(handleSigterm !== undefined && { handleSigterm }),
  };
  return new MeshServer(acquireRuntime(runtimeOptions), settings);
}
