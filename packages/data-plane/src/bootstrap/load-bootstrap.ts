import { readFileSync } from 'node:fs';
import { MeshError } from '../errors.js';
import type { Bootstrap, BootstrapOptions, Environment } from './bootstrap.js';
import { readGrpcBootstrap } from './grpc-bootstrap.js';
import { JsonValue } from './json-value.js';
import { weftBootstrap } from './weft-bootstrap.js';

/**
 * Options in code, else gRPC's bootstrap (GRPC_XDS_BOOTSTRAP names a file, GRPC_XDS_BOOTSTRAP_CONFIG holds it), else WEFT_*.
 * A bad file does not fall through to what comes after it.
 * @throws {MeshError} WEFT_BOOTSTRAP_INVALID, naming the variable or the path inside the JSON.
 */
export function loadBootstrap(options: BootstrapOptions = {}, env: Environment = process.env): Bootstrap {
  const file = env['GRPC_XDS_BOOTSTRAP'];
  const inline = env['GRPC_XDS_BOOTSTRAP_CONFIG'];
  if (options.controlPlane !== undefined || (!file && !inline)) return weftBootstrap(options, env);
  const source = file ? `GRPC_XDS_BOOTSTRAP (${file})` : 'GRPC_XDS_BOOTSTRAP_CONFIG';
  return readGrpcBootstrap(JsonValue.parse(file ? read(file) : (inline as string), source), source);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new MeshError('WEFT_BOOTSTRAP_INVALID', `GRPC_XDS_BOOTSTRAP: ${(error as Error).message}`, { cause: error });
  }
}
