// The control plane put together: sources → pipeline → model → resource graph → discovery, with registrations beside the sources.
import { ServerCredentials } from '@grpc/grpc-js';
import { silentLogger, systemClock, type Clock, type Logger } from '@weft/spiffe';
import type { Store } from '@weft/store';
import { AdminServer } from './admin/admin-server.js';
import { addBuiltinRoutes } from './admin/builtin-routes.js';
import { builtinKinds } from './config/builtin.js';
import type { ConfigProblem } from './config/config-object.js';
import { ConfigPipeline } from './config/config-pipeline.js';
import type { StreamLimits } from './discovery/admission.js';
import { DiscoveryService, type GrpcService } from './discovery/ads-service.js';
import { clientStatusService } from './discovery/client-status.js';
import { isLoopback, listenGrpc, type GrpcListener } from './discovery/grpc-listener.js';
import { registrationObserver } from './discovery/registration-observer.js';
import type { Profile, ProfileName } from './generate/generator.js';
import { envoyProfile } from './generate/profile/envoy.js';
import { grpcProfile } from './generate/profile/grpc.js';
import { weftProfile } from './generate/profile/weft.js';
import { ResourceGraph, type AuthoritySource } from './generate/resource-graph.js';
import { MeshModel } from './model/mesh-model.js';
import type { MeshSettings } from './model/mesh-reader.js';
import type { ConfigSource } from './source/config-source.js';
import { Registrar } from './source/registration.js';

export interface ControlPlaneOptions {
  /** Where two hold the same object, the first in order wins. */
  sources: readonly ConfigSource[];
  /** Registrations and last good configuration. The caller closes it, after the control plane. */
  store: Store;
  settings?: Partial<MeshSettings>;
  /** What the ports bind to. Default 127.0.0.1. Plain text xDS stays on loopback unless `allowInsecure`. */
  address?: string;
  /** Plain text xDS; 0 = any free port, null = none. Default 15010. */
  xdsPort?: number | null;
  /** xDS over mutual TLS. Default 15012 where there are `tlsCredentials`, else none. They must ask for client certificates. */
  xdsTlsPort?: number | null;
  tlsCredentials?: ServerCredentials;
  /** Health, metrics and /v1. Default 15014. */
  httpPort?: number | null;
  /** Token of mutating admin requests; without one there are none. */
  adminToken?: string;
  /** Host names by which browsers may reach the admin port, besides addresses and localhost. */
  adminHosts?: readonly string[];
  authorities?: AuthoritySource;
  /** Further gRPC services of the TLS port (the CA's). */
  services?: readonly GrpcService[];
  /** How long after a start no registration is withdrawn, milliseconds. Default 30 000. */
  graceMs?: number;
  /** Lets plain text leave the machine: xDS and /v1 beyond loopback. */
  allowInsecure?: boolean;
  /** Bounds of discovery streams. */
  limits?: Partial<StreamLimits>;
  /** Ports that one identity may register. Default 5000. */
  maxRegistrations?: number;
  /** Default: {@link profiles}. */
  profiles?: Readonly<Record<ProfileName, Profile>>;
  clock?: Clock;
  logger?: Logger;
}

/** `HOST:PORT` of each port, empty where it is off. */
export interface ControlPlaneAddresses {
  xds: string;
  xdsTls: string;
  http: string;
}

export const profiles: Readonly<Record<ProfileName, Profile>> = { weft: weftProfile, grpc: grpcProfile, envoy: envoyProfile };

export class ControlPlane {
  readonly model: MeshModel;
  readonly graph: ResourceGraph;
  readonly discovery: DiscoveryService;
  readonly registrar: Registrar;
  /** For further routes; add them before `start`. */
  readonly admin: AdminServer;
  readonly #options: ControlPlaneOptions;
  readonly #pipeline: ConfigPipeline;
  readonly #logger: Logger;
  readonly #listeners: GrpcListener[] = [];
  readonly #started: ConfigSource[] = [];
  #ready = false;
  /** Analysing the whole mesh is not for every scrape. */
  #problems: { revision: number; list: readonly ConfigProblem[] } | undefined;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    const { settings, authorities, store, graceMs, adminToken, adminHosts, allowInsecure, limits, maxRegistrations, clock = systemClock, logger = silentLogger } = options;
    this.#logger = logger;
    this.model = new MeshModel(settings);
    this.#pipeline = new ConfigPipeline({ kinds: builtinKinds, model: this.model, store, sources: options.sources.map(({ name }) => name), logger });
    this.#pipeline.onChange(() => (this.#problems = undefined));
    this.graph = new ResourceGraph({ model: this.model, logger, ...(authorities && { authorities }) });
    this.registrar = new Registrar({ model: this.model, graph: this.graph, store, clock, logger, ...(graceMs !== undefined && { graceMs }), ...(maxRegistrations !== undefined && { maxRegistrations }) });
    const observer = registrationObserver(this.registrar);
    this.discovery = new DiscoveryService({ graph: this.graph, profiles: options.profiles ?? profiles, trustDomain: this.model.settings.trustDomain, observer, clock, logger, ...(limits && { limits }) });
    this.admin = new AdminServer({ logger, ...(adminToken !== undefined && { token: adminToken }), ...(adminHosts && { hosts: adminHosts }), ...(allowInsecure && { allowInsecure }) });
    const { model, graph, discovery, registrar } = this;
    addBuiltinRoutes(this.admin, { model, graph, discovery, registrar, ready: () => this.#ready, problems: () => this.problems() });
  }

  /** Every source has delivered and every port accepts. */
  get ready(): boolean {
    return this.#ready;
  }

  /**
   * Resolves once all ports accept. Rejects with `PortInUse` (code EADDRINUSE), or with what keeps a source from starting; nothing
   * is left open then.
   */
  async start(): Promise<ControlPlaneAddresses> {
    const { address = '127.0.0.1', httpPort = 15014, tlsCredentials, xdsTlsPort = tlsCredentials ? 15012 : null, services = [] } = this.#options;
    const { xdsPort = 15010 } = this.#options;
    const addresses: ControlPlaneAddresses = { xds: '', xdsTls: '', http: '' };
    try {
      await this.#load();
      if (xdsPort !== null) {
        const host = this.#plainAddress(address);
        // It shows every client's state to whoever asks, so it stays on the machine even where plain text may leave it.
        const status = isLoopback(host) ? [clientStatusService(this.discovery)] : [];
        addresses.xds = await this.#listen('xds port', host, xdsPort, ServerCredentials.createInsecure(), [this.discovery.service('plain'), ...status]);
      }
      if (xdsTlsPort !== null) {
        if (!tlsCredentials) throw new Error('the TLS port needs credentials');
        addresses.xdsTls = await this.#listen('xds-tls port', address, xdsTlsPort, tlsCredentials, [this.discovery.service('tls'), ...services]);
      }
      if (httpPort !== null) addresses.http = await this.admin.listen(address, httpPort);
    } catch (error) {
      await this.close({ drainMs: 0 });
      throw error;
    }
    this.#ready = true;
    return addresses;
  }

  /** Present problems of the configuration, and what does not fit together in it. */
  problems(): readonly ConfigProblem[] {
    const { revision } = this.model;
    if (this.#problems?.revision !== revision) this.#problems = { revision, list: this.#pipeline.problems() };
    return this.#problems.list;
  }

  /** Errors that leave an object out of force altogether, since no version of it was ever good: a reason not to start. */
  rejected(): readonly ConfigProblem[] {
    return this.#pipeline.rejected();
  }

  /** See {@link DiscoveryService.bundleAcknowledged}. */
  bundleAcknowledged(timeoutMs: number): Promise<readonly string[]> {
    return this.discovery.bundleAcknowledged(timeoutMs);
  }

  /** Not ready any more, streams end spread over `drainMs` after what was due to them, then everything closes. */
  async close({ drainMs = 500 }: { drainMs?: number } = {}): Promise<void> {
    this.#ready = false;
    await this.discovery.drain(drainMs);
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
    await this.admin.close();
    await Promise.all(this.#started.splice(0).map((source) => source.close()));
    await this.#pipeline.flush();
    await this.registrar.close();
    this.graph.close();
  }

  /** Registrations come after configuration: only then do their WorkloadGroups exist. */
  async #load(): Promise<void> {
    await this.#pipeline.loadLastGood();
    this.#started.push(...this.#options.sources);
    await Promise.all(this.#started.map((source) => source.start(this.#pipeline)));
    this.#pipeline.settled();
    await this.registrar.start();
  }

  #plainAddress(address: string): string {
    if (this.#options.allowInsecure || isLoopback(address)) return address;
    const loopback = address.includes(':') ? '::1' : '127.0.0.1';
    this.#logger.info({ address: loopback }, `plain text xDS listens on ${loopback} only; --allow-insecure opens it on ${address}`);
    return loopback;
  }

  async #listen(what: string, host: string, port: number, credentials: ServerCredentials, services: readonly GrpcService[]): Promise<string> {
    const listener = await listenGrpc(what, host, port, credentials, services);
    this.#listeners.push(listener);
    return listener.address;
  }
}
