// What makes xDS resources out of the model. One generator for each resource type and client profile; the resource
// graph runs it, remembers what it read, and runs it again only when that changed.
import type { MeshReader } from '../model/mesh-reader.js';
import type { Locality } from '../model/workload.js';

/** xDS resource types in the order in which they are sent on add (make before break). */
export const resourceTypes = ['secret', 'cluster', 'endpoint', 'listener', 'route'] as const;
export type ResourceType = (typeof resourceTypes)[number];

export const typeUrls: Readonly<Record<ResourceType, string>> = {
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoint: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
};

export type ProfileName = 'weft' | 'grpc' | 'envoy';

/**
 * What a generator may know of the client it generates for. Reads are recorded one by one: a resource that only read
 * `namespace` is generated once for all clients of that namespace.
 */
export interface NodeFacets {
  readonly namespace: string;
  /** Workload name: the WorkloadGroup or Pod; empty where unknown. */
  readonly workload: string;
  readonly serviceAccount: string;
  /** From the WorkloadGroup or Pod, never from the node's own words. */
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: Locality;
  /** Addresses it registers with; empty for pure clients. */
  readonly addresses: readonly string[];
  /** gRPC: whether the bootstrap declares the certificate provider `default`. Envoy and Weft: whether it has an identity. */
  readonly hasIdentity: boolean;
  /** Envoy: added to the port of outbound listeners, see `weft bootstrap envoy --port-offset`. */
  readonly portOffset: number;
  /** User agent of gRPC clients (`gRPC Node Pure JS`, `gRPC C-core linux`, …), for quirks. */
  readonly userAgent: string;
  /** The node id as sent; read it only where nothing else will do, it makes the resource private to the client. */
  readonly id: string;
}

export interface GenerateContext {
  readonly model: MeshReader;
  readonly node: NodeFacets;
  /** Trusted roots, PEM, the active one first; empty where no CA is attached. A dependency like any other. */
  authorities(): readonly string[];
  /** Something the client cannot be told (withheld, not expressible): appears in the log and in `weft generate`. */
  warn(reason: string): void;
}

/** A message and its type: exactly what goes into the resource's Any. */
export interface GeneratedResource {
  typeUrl: string;
  value: Uint8Array;
}

export interface Profile {
  readonly name: ProfileName;
  /** Makes one resource by name, or undefined where there is none of that name for this client. */
  generate(type: ResourceType, name: string, context: GenerateContext): GeneratedResource | undefined;
  /** Whether LDS and CDS may be subscribed to by wildcard (Envoy). gRPC and Weft clients name what they dial. */
  readonly wildcard: boolean;
  /** All names that exist of a type for this client: what a wildcard means, and what `weft generate` prints. */
  names(type: ResourceType, context: GenerateContext): readonly string[];
}
