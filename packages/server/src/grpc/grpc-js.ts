import { createRequire } from 'node:module';
import type * as grpc from '@grpc/grpc-js';

/** The application's grpc-js, loaded only where gRPC is served. @throws where it is not installed. */
export function loadGrpc(): typeof grpc {
  try {
    return createRequire(import.meta.url)('@grpc/grpc-js') as typeof grpc;
  } catch (error) {
    throw new Error('@weft/server: serving gRPC needs @grpc/grpc-js', { cause: error });
  }
}
