import type { ModelBase } from './model-base.js';
import type { Workload } from './workload.js';

/** HTTP kinds share one HTTP listener; `tcp` stands for everything Weft carries as bytes. */
export type Protocol = 'http' | 'http2' | 'grpc' | 'https' | 'tls' | 'tcp';

export interface ServicePort {
  number: number;
  name: string;
  protocol: Protocol;
  /** Port of the workload: a number, or the name of one of its ports. Defaults to `number`. */
  targetPort: number | string;
}

/** A host that clients dial: a Kubernetes Service, or one host of a ServiceEntry. */
export interface Service extends ModelBase {
  type: 'service';
  /** What clients dial in full: `payments.default.svc.cluster.local`, `api.example.com`, `*.example.com`. */
  host: string;
  /** Whether short names of the namespace mean it (`payments`, `payments.default`, …): Kubernetes Services. */
  cluster: boolean;
  ports: readonly ServicePort[];
  /** Virtual addresses, as clients may dial them. */
  addresses: readonly string[];
  /** Namespaces that see it; `*` for all. `.` is already resolved. */
  exportTo: readonly string[];
  /** `external`: outside the mesh, never mesh TLS by default (MESH_EXTERNAL). */
  location: 'internal' | 'external';
  /**
   * Where endpoints come from. `selector`: workloads by label. `slices`: EndpointSlices. `static`: `endpoints`. `dns` and
   * `logical-dns`: names in `endpoints`, or the host itself. `dynamic-dns`: the names that requests are for, under a wildcard
   * host. `none`: whatever address was dialled.
   */
  resolution: 'selector' | 'slices' | 'static' | 'dns' | 'logical-dns' | 'dynamic-dns' | 'none';
  /** Labels of workloads in the service's namespace. Empty selects nothing. */
  selector: Readonly<Record<string, string>>;
  /** Endpoints written inside the object itself. */
  endpoints: readonly Workload[];
  /** All requests of one client address go to one endpoint, unless a traffic policy balances otherwise. */
  sessionAffinity?: 'client-ip';
  /** Endpoints near the client first, unless a traffic policy has locality settings. `close`: down to the sub-zone. */
  trafficDistribution?: 'close' | 'same-zone';
  /** Further identities (SPIFFE IDs or DNS names) its endpoints may show. */
  subjectAltNames: readonly string[];
}

export function isHttp(protocol: Protocol): boolean {
  return protocol === 'http' || protocol === 'http2' || protocol === 'grpc';
}
