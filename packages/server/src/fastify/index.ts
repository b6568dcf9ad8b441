// Plugin for applications that keep their own listener: policy and telemetry, without the mesh's TLS.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { MeshGate, type GateOptions } from '../http/mesh-gate.js';
import type { MeshServer } from '../mesh-server.js';
import { fastifySpelling } from '../target.js';

export interface WeftPluginOptions extends GateOptions {
  mesh: MeshServer;
}

/**
 * Fastify has chosen the route when plugins run, so a path that is not in its normal form (`/a/../b`) is answered with 400.
 *
 * @example await app.register(weft, { mesh, port: 8080 })
 */
export function weft(app: FastifyInstance, options: WeftPluginOptions, done: (error?: Error) => void): void {
  const gate = new MeshGate(options.mesh, options, fastifySpelling(app.initialConfig), true);
  // A refused request is answered by the engine; without `next` Fastify does nothing more with it.
  app.addHook('onRequest', (request: FastifyRequest, reply: FastifyReply, next: () => void) => gate.handle(request.raw, reply.raw, next));
  done();
}

// What fastify-plugin does: hooks of a plugin otherwise hold only for routes inside of it.
Object.assign(weft, { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: '@weft/server/fastify' });
