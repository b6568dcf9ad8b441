// The control plane put together: sources → pipeline → model → resource graph → discovery, with registrations beside the sources.
import { ServerCredentials } from '@grpc/grpc-js';
import { silentLogger, systemClock, type Clock, type Logger } from '@weft/spiffe';
import type { Store } from '@weft/store';
import { DiscoveryService, type GrpcService } from './discovery/ads-service.js';
import { isLoopback, listenGrpc, type GrpcListener } from './discovery/grpc-listener.js';
import type { Profile, ProfileName } from './generate/generator.js';
import { ResourceGraph, type AuthoritySource } from './generate/resource-graph.js';
import { MeshModel } from './model/mesh-model.js';
import type { MeshSettings } from './model/mesh-reader.js';
import type { ConfigSource } from './source/config-source.js';

export interface ControlPlaneOptions {
  sources: readonly ConfigSource[];
  store: Store;
  settings?: Partial<MeshSettings>;
  /** What the ports bind to. Default 127.0.0.1. Plain text stays on loopback unless `allowInsecure`. */
  address?: string;
  /** Plain text xDS; 0 = any free port, null = none. Default 15010. */
  xdsPort?: number | null;
  /** xDS over mutual TLS; needs `tlsCredentials`. Default 15012 where those are given. */
  xdsTlsPort?: number | null;
  tlsCredentials?: ServerCredentials;
  authorities?: AuthoritySource;
  /** Further gRPC services of the TLS port (the CA's). */
  services?: readonly GrpcService[];
  profiles?: Readonly<Record<ProfileName, Profile>>;
  allowInsecure?: boolean;
  clock?: Clock;
  logger?: Logger;
}

/** Where a started control plane listens, `HOST:PORT`. */
export interface ControlPlaneAddresses {
  xds?: string;
  xdsTls?: string;
}

const rawOnly = (name: ProfileName): Profile => ({ name, wildcard: name === 'envoy', generate: () => undefined, names: () => [] });

export class ControlPlane {
  readonly model: MeshModel;
  readonly graph: ResourceGraph;
  readonly discovery: DiscoveryService;
  readonly #options: ControlPlaneOptions;
  readonly #listeners: GrpcListener[] = [];
  ready = false;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    const { settings, authorities, clock = systemClock, logger = silentLogger } = options;
    const profiles = options.profiles ?? { weft: rawOnly('weft'), grpc: rawOnly('grpc'), envoy: rawOnly('envoy') };
    this.model = new MeshModel(settings);
    this.graph = new ResourceGraph({ model: this.model, logger, ...(authorities && { authorities }) });
    this.discovery = new DiscoveryService({ graph: this.graph, profiles, trustDomain: this.model.settings.trustDomain, clock, logger });
  }

  /** Resolves once all ports accept. Rejects with `PortInUse`, or with what keeps a source from starting. */
  async start(): Promise<ControlPlaneAddresses> {
    const { address = '127.0.0.1', xdsPort = 15010, tlsCredentials, xdsTlsPort = tlsCredentials ? 15012 : null, services = [], allowInsecure = false } = this.#options;
    const addresses: ControlPlaneAddresses = {};
    try {
      if (xdsPort !== null) {
        const plainAddress = allowInsecure || isLoopback(address) ? address : address.includes(':') ? '::1' : '127.0.0.1';
        addresses.xds = await this.#listen('xds port', plainAddress, xdsPort, ServerCredentials.createInsecure(), [this.discovery.service('plain')]);
      }
      if (xdsTlsPort !== null) {
        if (!tlsCredentials) throw new Error('the TLS port needs credentials');
        addresses.xdsTls = await this.#listen('xds-tls port', address, xdsTlsPort, tlsCredentials, [this.discovery.service('tls'), ...services]);
      }
    } catch (error) {
      await this.close();
      throw error;
    }
    this.ready = true;
    return addresses;
  }

  async close({ drainMs = 500 }: { drainMs?: number } = {}): Promise<void> {
    this.ready = false;
    await this.discovery.drain(drainMs);
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
    this.graph.close();
  }

  async #listen(what: string, host: string, port: number, credentials: ServerCredentials, services: readonly GrpcService[]): Promise<string> {
    const listener = await listenGrpc(what, host, port, credentials, services);
    this.#listeners.push(listener);
    return listener.address;
  }
}
