export { main, type Output } from './main.js';
export { startMesh, type Mesh, type MeshOptions } from './mesh.js';
