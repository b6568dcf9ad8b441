// AggregatedDiscoveryService over grpc-js: the streams that are open, and what they have in common.
import { status, type ServerDuplexStream, type UntypedServiceImplementation, type ServiceDefinition } from '@grpc/grpc-js';
import { silentLogger, systemClock, type Clock, type Logger } from '@weft/spiffe';
import { serviceDefinition } from '@weft/xds-api';
import { AggregatedDiscoveryService, type DeltaDiscoveryRequest, type DiscoveryRequest } from '@weft/xds-api/discovery';
import { typeUrls, type Profile, type ProfileName } from '../generate/generator.js';
import type { ResourceGraph } from '../generate/resource-graph.js';
import { ClientStream, type StreamContext, type StreamObserver } from './client-stream.js';
import { delta } from './delta.js';
import { addressOf, Admission, defaultLimits, type StreamLimits } from './admission.js';
import { DiscoveryStats } from './discovery-stats.js';
import { authenticate, StreamRefused, type CallerIdentity } from './node-auth.js';
import type { Protocol, RequestHead } from './protocol.js';
import { sotw } from './sotw.js';

export interface DiscoveryOptions {
  graph: ResourceGraph;
  profiles: Readonly<Record<ProfileName, Profile>>;
  trustDomain: string;
  observer?: StreamObserver;
  limits?: Partial<StreamLimits>;
  clock?: Clock;
  logger?: Logger;
}

export interface GrpcService {
  definition: ServiceDefinition;
  implementation: UntypedServiceImplementation;
}

type Call<Request> = ServerDuplexStream<Request, Buffer>;

const nobody: StreamObserver = { opened: () => undefined, subscribed: () => undefined, unsubscribed: () => undefined, health: () => undefined, closed: () => undefined };

export class DiscoveryService {
  readonly stats = new DiscoveryStats();
  readonly #context: StreamContext;
  readonly #trustDomain: string;
  readonly #admission: Admission;
  readonly #streams = new Set<ClientStream<never>>();
  readonly #settled = new Set<() => void>();

  constructor({ graph, profiles, trustDomain, observer = nobody, limits, clock = systemClock, logger = silentLogger }: DiscoveryOptions) {
    this.#admission = new Admission({ ...defaultLimits, ...limits });
    this.#context = { graph, profiles, observer, stats: this.stats, clock, logger, limits: this.#admission.limits };
    this.#trustDomain = trustDomain;
  }

  /** The open streams, in the order in which they came. */
  get streams(): readonly ClientStream<never>[] {
    return [...this.#streams];
  }

  /** @param port `tls` wants a client certificate, `plain` takes everybody as an observer. */
  service(port: 'plain' | 'tls'): GrpcService {
    const generated = serviceDefinition(AggregatedDiscoveryService);
    const raw = { responseSerialize: (message: Buffer) => message, responseDeserialize: (message: Buffer) => message };
    return {
      definition: {
        streamAggregatedResources: { ...generated.streamAggregatedResources, ...raw },
        deltaAggregatedResources: { ...generated.deltaAggregatedResources, ...raw },
      } as unknown as ServiceDefinition,
      implementation: {
        streamAggregatedResources: (call: Call<DiscoveryRequest>) => this.#accept(call, sotw, port),
        deltaAggregatedResources: (call: Call<DeltaDiscoveryRequest>) => this.#accept(call, delta, port),
      },
    };
  }

  /**
   * Resolves when every connected client that subscribed to the trusted roots has acknowledged the present ones, or after
   * `timeoutMs`, with the ids of the nodes that have not.
   */
  async bundleAcknowledged(timeoutMs: number): Promise<readonly string[]> {
    const { graph, clock } = this.#context;
    graph.flush();
    if (this.#unacknowledged().length === 0) return [];
    return new Promise((resolve) => {
      const finish = () => {
        timer.cancel();
        this.#settled.delete(look);
        resolve(this.#unacknowledged());
      };
      const look = () => this.#unacknowledged().length === 0 && finish();
      const timer = clock.setTimeout(finish, timeoutMs);
      this.#settled.add(look);
    });
  }

  /**
   * Ends all streams, spread over `overMs`, each after what was due to it. On real time, whatever the clock: a process that shuts
   * down must not wait for somebody to turn a clock.
   */
  async drain(overMs: number): Promise<void> {
    if (this.#streams.size === 0) return;
    for (const stream of this.#streams) {
      if (overMs === 0) stream.drain();
      else systemClock.setTimeout(() => stream.drain(), Math.random() * overMs);
    }
    await new Promise<void>((resolve) => {
      const finish = () => {
        limit.cancel();
        this.#settled.delete(look);
        resolve();
      };
      const look = () => this.#streams.size === 0 && finish();
      // A client that does not read must not hold up the shutdown.
      const limit = systemClock.setTimeout(finish, overMs + 1000);
      this.#settled.add(look);
    });
  }

  #unacknowledged(): string[] {
    const late: string[] = [];
    for (const stream of this.#streams) {
      const subscription = stream.subscriptions.get(typeUrls.secret);
      const entry = subscription?.entries.get('ROOTCA');
      if (subscription && entry && entry.acked !== subscription.current(entry)?.version) late.push(stream.node?.id ?? stream.peer);
    }
    return late;
  }

  #accept<Request extends RequestHead>(call: Call<Request>, protocol: Protocol<Request>, port: 'plain' | 'tls'): void {
    let caller: CallerIdentity | undefined;
    let release: () => void;
    try {
      if (port === 'tls') caller = authenticate(call, this.#trustDomain);
      release = this.#admission.admit(caller?.spiffeId ?? addressOf(call.getPeer()));
    } catch (error) {
      const { code, message } = error instanceof StreamRefused ? error : new StreamRefused(status.INTERNAL, 'the caller could not be identified');
      this.stats.refused++;
      this.#context.logger.warn({ peer: call.getPeer(), reason: message }, `a discovery stream was refused: ${message}`);
      call.emit('error', { code, details: message });
      return;
    }
    const transport = {
      write: (message: Buffer, done: () => void) => void call.write(message, done),
      end: (code: status, reason: string) => void (code === status.OK ? call.end() : call.emit('error', { code, details: reason })),
    };
    const stream = new ClientStream(this.#context, protocol, transport, caller, call.getPeer());
    this.#streams.add(stream as ClientStream<never>);
    const closed = () => {
      stream.close();
      if (!this.#streams.delete(stream as ClientStream<never>)) return;
      release();
      this.#look();
    };
    call.on('data', (request: Request) => {
      stream.receive(request);
      this.#look();
    });
    call.on('end', () => {
      closed();
      call.end();
    });
    call.on('cancelled', closed);
    call.on('close', closed);
    call.on('finish', closed);
    call.on('error', closed);
  }

  #look(): void {
    for (const look of this.#settled) look();
  }
}
