export { MeshServer, type ListeningServer, type ListenOptions, type MeshServerSettings } from './mesh-server.js';
export type { FastifyApp, HttpApp, ListenTarget, RequestListener } from './target.js';
