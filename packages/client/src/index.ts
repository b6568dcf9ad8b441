// Before all others: see there.
import './http/earlier-dispatcher.js';

export { createMesh, type Mesh, type MeshOptions, type MeshStatus } from './create-mesh.js';
export { MeshError, type MeshErrorCode } from '@weft/data-plane';
export type { ConnectOptions, ConnectTarget } from './tcp/mesh-connector.js';
export type { MeshSocket } from './tcp/mesh-socket.js';
export type { InstallOptions } from './mesh-client.js';
export type { MeshRequestOptions, MeshResponse } from './http/request.js';
export type { ResponseBody } from './http/response-body.js';
