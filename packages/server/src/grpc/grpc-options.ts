// Options of an application's grpc.Server.
import type { ServerInterceptingCallInterface, ServerInterceptor, ServerOptions } from '@grpc/grpc-js';

let admitting = false;

/** Hands a call that the mesh let through to grpc-js, which asks its interceptors before it returns. */
export function admit(serve: () => void): void {
  admitting = true;
  try {
    serve();
  } finally {
    admitting = false;
  }
}

/** Calls that reach the server on another way than `mesh.listen` were judged by nobody: they are refused. */
const guard: ServerInterceptor = (_method, call) => (admitting ? (call as ReturnType<ServerInterceptor>) : refusing(call));

function refusing(call: ServerInterceptingCallInterface): ReturnType<ServerInterceptor> {
  const refused = Object.create(call) as ServerInterceptingCallInterface;
  refused.start = () => call.sendStatus({ code: 14, details: 'this server belongs to the mesh: serve it with mesh.listen(server, port)' });
  refused.startRead = () => {};
  return refused as ReturnType<ServerInterceptor>;
}

export function grpcOptions(): ServerOptions {
  return {
    'interceptors': [guard],
    // grpc-js's own defaults have no bound (security.md T8).
    'grpc.max_concurrent_streams': 1000,
    'grpc-node.max_session_memory': 64,
  };
}
