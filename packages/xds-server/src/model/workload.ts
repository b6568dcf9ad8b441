import type { ModelBase } from './model-base.js';

export interface Locality {
  region: string;
  zone: string;
  subZone: string;
}

/** One running instance: a Pod, a WorkloadEntry, an endpoint of a ServiceEntry, or a process that registered itself. */
export interface Workload extends ModelBase {
  type: 'workload';
  /** IP address, DNS name, or `unix:///path`. */
  address: string;
  /** Ports by name; beats a service's targetPort by port name. */
  ports: Readonly<Record<string, number>>;
  labels: Readonly<Record<string, string>>;
  /** Absent: no identity is known, so it is taken to speak plain text. */
  serviceAccount?: string;
  locality: Locality;
  /** Load-balancing weight, 1 or more; absent = 1. */
  weight?: number;
  health: 'healthy' | 'unhealthy' | 'draining';
  /**
   * How it came in. A `pod` counts for `selector` services only through EndpointSlices where its service has any; a
   * `registration` is a WorkloadEntry that lives as long as its process.
   */
  via: 'pod' | 'entry' | 'inline' | 'registration';
  /** The ports a registration listens on: port name → bound port. Only these receive traffic. */
  boundPorts?: Readonly<Record<string, number>>;
  /** The WorkloadGroup a registration belongs to, `namespace/name`. */
  group?: string;
}

/** A template for workloads that register themselves. */
export interface WorkloadGroup extends ModelBase {
  type: 'workload-group';
  labels: Readonly<Record<string, string>>;
  serviceAccount: string;
  ports: Readonly<Record<string, number>>;
  locality: Locality;
  weight?: number;
  network: string;
}

/** An EndpointSlice: part of the endpoints of one Kubernetes Service. */
export interface EndpointGroup extends ModelBase {
  type: 'endpoint-group';
  /** The Service's name (label kubernetes.io/service-name), in the same namespace. */
  service: string;
  ports: Readonly<Record<string, number>>;
  endpoints: readonly {
    addresses: readonly string[];
    ready: boolean;
    /** The Pod it is, `namespace/name`: gives labels and service account. */
    pod?: string;
    zone: string;
  }[];
}

export const noLocality: Locality = { region: '', zone: '', subZone: '' };
