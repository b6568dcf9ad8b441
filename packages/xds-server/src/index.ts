export { ControlPlane, type ControlPlaneAddresses, type ControlPlaneOptions } from './control-plane.js';
export { PortInUse } from './discovery/grpc-listener.js';
export type { GrpcService } from './discovery/ads-service.js';
export { EncodedResource } from './generate/resource-graph-encoded.js';
export { ResourceGraph, type AuthoritySource, type GeneratedOnce, type Subscription } from './generate/resource-graph.js';
export { resourceTypes, typeUrls, type NodeFacets, type Profile, type ProfileName, type ResourceType } from './generate/generator.js';
export { MeshModel } from './model/mesh-model.js';
export type { ConfigSink, ConfigSource } from './source/config-source.js';
export type { RawResource } from './model/raw-resource.js';
