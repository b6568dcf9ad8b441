// Middleware for applications that keep their own listener: policy and telemetry, without the mesh's TLS.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { MeshGate, type GateOptions } from '../http/mesh-gate.js';
import type { MeshServer } from '../mesh-server.js';

export type { GateOptions };

/**
 * Must be the first middleware: what stands before it no policy sees. Do nothing of this where the app is served by `mesh.listen`.
 *
 * @example app.use(weft(mesh, { port: 8080 }))
 */
export function weft(mesh: MeshServer, options: GateOptions): (request: IncomingMessage & { socket: Socket }, response: ServerResponse, next: (error?: unknown) => void) => void {
  const gate = new MeshGate(mesh, options, { caseSensitive: false, strict: false, decodes: true });
  return (request, response, next) => gate.handle(request, response, () => next());
}
