// How this process joins a mesh: which control plane, as whom, and where its identity comes from.
import type { MeshNamesOptions } from '../outbound/mesh-names.js';

export interface Bootstrap {
  /** Where it was read: `options`, `environment`, or a file. */
  readonly source: string;
  /** In order of preference; the first is used. */
  readonly servers: readonly [ControlPlaneServer, ...ControlPlaneServer[]];
  readonly node: NodeConfig;
  /** Undefined: this process has no identity, and speaks plain text only. */
  readonly identity: IdentityConfig | undefined;
  /** Certificate provider instances that TLS contexts may name. */
  readonly certificateProviders: ReadonlySet<string>;
  /** How dialled names become names of Listeners. */
  readonly names: MeshNamesOptions;
  /** `%s` is IP:port. Undefined: Weft's own names. */
  readonly serverListenerTemplate: string | undefined;
  /** Who we say we are, in metrics and logs. */
  readonly workload: { readonly namespace: string; readonly name: string };
  /** The cluster that this process is a host of, for zone-aware routing. */
  readonly localClusterName?: string;
  /** What it asks for and does not get; logged once. */
  readonly warnings: readonly string[];
}

export interface ControlPlaneServer {
  /** For people: `HOST:PORT`, or the server_uri. */
  readonly address: string;
  /** gRPC target. */
  readonly target: string;
  readonly credentials:
    | { readonly kind: 'insecure' }
    /** Files, read at every connection. */
    | { readonly kind: 'tls'; readonly caCertificateFile?: string; readonly certificateFile?: string; readonly privateKeyFile?: string }
    /** Mutual TLS with the process's own SVID. */
    | { readonly kind: 'identity' };
  readonly ignoreResourceDeletion: boolean;
  readonly loopback: boolean;
}

export interface NodeConfig {
  readonly id: string;
  readonly cluster: string;
  readonly locality: { readonly region: string; readonly zone: string; readonly subZone: string };
  readonly metadata: Readonly<Record<string, unknown>>;
}

export type IdentityConfig =
  | { readonly kind: 'ca'; readonly address: string; readonly rootPem?: string; readonly token?: string | (() => string | undefined); readonly stateDir?: string }
  | { readonly kind: 'files'; readonly certificateFile: string; readonly privateKeyFile: string; readonly caCertificateFile: string; readonly refreshIntervalMs?: number };

/** The part of the runtime's options that says how to join. What is left out comes from the environment. */
export interface BootstrapOptions {
  /** HOST:PORT of the control plane (TLS), or in plain text on purpose. Outweighs the environment, the gRPC bootstrap too. */
  controlPlane?: string | { address: string; plaintext?: boolean };
  /** NAMESPACE/NAME, or NAME in `default`. */
  workload?: string;
  /** A join token, or any bearer token that the authority takes. */
  token?: string;
  /** PEM: the control plane's roots. */
  rootCertificates?: string;
  /** Folder (0700) in which key and SVID survive a restart. */
  stateDir?: string;
  /** IP address to register instead of the interface's. */
  address?: string;
  /** Where this process is. Default: WEFT_LOCALITY (`REGION/ZONE/SUBZONE`); with a gRPC bootstrap, its node's. */
  locality?: { region?: string; zone?: string; subZone?: string };
  /**
   * Name of the cluster that this process is a host of (`outbound|80||orders.default.svc.cluster.local`): requests are then routed by zone, as Envoy does with
   * `local_cluster_name`. Default: WEFT_LOCAL_CLUSTER; with a gRPC bootstrap its `local_cluster_name`.
   */
  localClusterName?: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;
