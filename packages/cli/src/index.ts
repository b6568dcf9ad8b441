export { main } from './main.js';
export type { Output } from './output.js';
export { startMesh, type Mesh, type MeshOptions } from './mesh.js';
