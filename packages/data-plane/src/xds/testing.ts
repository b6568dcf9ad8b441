// An ADS server for tests: both protocols, every request kept, and as wrong as a test wants it.
import { Server, ServerCredentials, status, type ServerDuplexStream } from '@grpc/grpc-js';
import { create, toBinary, type DescMessage, type MessageInitShape, type MessageShape } from '@weft/xds-api/protobuf';
import { serviceDefinition, typeUrl } from '@weft/xds-api';
import { AggregatedDiscoveryService, type DeltaDiscoveryRequest, type DiscoveryRequest } from '@weft/xds-api/discovery';
import type { AdsProtocol } from './protocol.js';

interface Stored {
  value: Uint8Array;
  version: string;
}

export interface TestStream {
  readonly kind: AdsProtocol;
  readonly requests: (DeltaDiscoveryRequest | DiscoveryRequest)[];
  /** By type URL. */
  readonly subscribed: Map<string, Set<string>>;
  ended: boolean;
  /** Sends a response as it is. */
  send(response: unknown): void;
  /** Ends with OK, or this status. */
  end(code?: number): void;
}

export interface TestAdsServerOptions {
  protocols?: readonly AdsProtocol[];
  /** Delta: say of unknown names that they do not exist. Default true. */
  explicitAbsence?: boolean;
  credentials?: ServerCredentials;
  /** Default 0: any. */
  port?: number;
}

export class TestAdsServer {
  readonly streams: TestStream[] = [];
  readonly #resources = new Map<string, Map<string, Stored>>();
  readonly #options: TestAdsServerOptions;
  readonly #server = new Server();
  #version = 0;
  #nonce = 0;
  port = 0;
  /** While set, streams get no automatic answers. */
  silent = false;

  private constructor(options: TestAdsServerOptions) {
    this.#options = options;
  }

  static async start(options: TestAdsServerOptions = {}): Promise<TestAdsServer> {
    const ads = new TestAdsServer(options);
    const definition = serviceDefinition(AggregatedDiscoveryService);
    const { protocols = ['delta', 'sotw'] } = options;
    const serve = (kind: AdsProtocol) => (call: ServerDuplexStream<never, unknown>) => {
      if (protocols.includes(kind)) ads.#serve(kind, call);
      else call.emit('error', { code: status.UNIMPLEMENTED, details: `no ${kind} here` });
    };
    ads.#server.addService(definition as never, { deltaAggregatedResources: serve('delta'), streamAggregatedResources: serve('sotw') } as never);
    ads.port = await new Promise<number>((resolve, reject) => {
      ads.#server.bindAsync(`127.0.0.1:${options.port ?? 0}`, options.credentials ?? ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)));
    });
    return ads;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Streams that are open. */
  get open(): TestStream[] {
    return this.streams.filter(({ ended }) => !ended);
  }

  set<T extends DescMessage>(schema: T, name: string, init: MessageInitShape<T>): void {
    this.setBytes(typeUrl(schema), name, toBinary(schema, create(schema, init) as MessageShape<T>));
  }

  setBytes(url: string, name: string, value: Uint8Array): void {
    this.#table(url).set(name, { value, version: String(++this.#version) });
    for (const stream of this.open) if (stream.subscribed.get(url)?.has(name)) this.#push(stream, url, [name]);
  }

  remove(url: string, name: string): void {
    this.#table(url).delete(name);
    this.#version++;
    for (const stream of this.open) if (stream.subscribed.get(url)?.has(name)) this.#push(stream, url, [name]);
  }

  close(): void {
    this.#server.forceShutdown();
  }

  #table(url: string): Map<string, Stored> {
    let table = this.#resources.get(url);
    if (!table) this.#resources.set(url, (table = new Map()));
    return table;
  }

  #serve(kind: AdsProtocol, call: ServerDuplexStream<never, unknown>): void {
    const stream: TestStream = {
      kind,
      requests: [],
      subscribed: new Map(),
      ended: false,
      // A request may arrive after the end: an answer to it would break the ending off.
      send: (response) => void (stream.ended || call.write(response)),
      end: (code) => {
        stream.ended = true;
        if (code === undefined) call.end();
        else call.emit('error', { code, details: 'ended by the test' });
      },
    };
    this.streams.push(stream);
    call.on('data', (request: DeltaDiscoveryRequest | DiscoveryRequest) => {
      stream.requests.push(request);
      const names = kind === 'delta' ? this.#delta(stream, request as DeltaDiscoveryRequest) : this.#sotw(stream, request as DiscoveryRequest);
      if (names.length > 0 && !this.silent) this.#push(stream, request.typeUrl, names);
    });
    const ended = () => void (stream.ended = true);
    call.on('cancelled', ended).on('error', ended).on('end', () => (ended(), call.end()));
  }

  #delta(stream: TestStream, { typeUrl: url, resourceNamesSubscribe, resourceNamesUnsubscribe, initialResourceVersions }: DeltaDiscoveryRequest): string[] {
    const names = stream.subscribed.get(url) ?? new Set();
    stream.subscribed.set(url, names);
    for (const name of resourceNamesSubscribe) names.add(name);
    for (const name of resourceNamesUnsubscribe) names.delete(name);
    return resourceNamesSubscribe.filter((name) => initialResourceVersions[name] === undefined || this.#table(url).get(name)?.version !== initialResourceVersions[name]);
  }

  #sotw(stream: TestStream, { typeUrl: url, resourceNames }: DiscoveryRequest): string[] {
    const before = stream.subscribed.get(url) ?? new Set();
    stream.subscribed.set(url, new Set(resourceNames));
    return resourceNames.filter((name) => !before.has(name));
  }

  #push(stream: TestStream, url: string, names: readonly string[]): void {
    const table = this.#table(url);
    const nonce = String(++this.#nonce);
    if (stream.kind === 'delta') {
      const resources = names.flatMap((name) => {
        const stored = table.get(name);
        return stored ? [{ name, version: stored.version, resource: { typeUrl: url, value: stored.value } }] : [];
      });
      const removedResources = this.#options.explicitAbsence === false ? [] : names.filter((name) => !table.has(name));
      if (resources.length + removedResources.length > 0) stream.send({ typeUrl: url, nonce, resources, removedResources });
      return;
    }
    const full = url.endsWith('.Listener') || url.endsWith('.Cluster');
    const wanted = full ? [...(stream.subscribed.get(url) ?? [])] : names;
    const resources = wanted.flatMap((name) => {
      const stored = table.get(name);
      return stored ? [{ typeUrl: url, value: stored.value }] : [];
    });
    stream.send({ typeUrl: url, nonce, versionInfo: String(this.#version), resources });
  }
}
