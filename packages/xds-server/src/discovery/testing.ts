// Real grpc-js clients of the discovery service, for tests: they send exactly what they are told to and acknowledge nothing by themselves.
import { create, type MessageInitShape } from '@weft/xds-api/protobuf';
import { Client, credentials as grpcCredentials, Metadata, type ChannelCredentials, type ClientDuplexStream, type StatusObject } from '@grpc/grpc-js';
import { serviceDefinition, type MethodDefinition } from '@weft/xds-api';
import {
  AggregatedDiscoveryService, DeltaDiscoveryRequestSchema, DiscoveryRequestSchema,
  type DeltaDiscoveryRequest, type DeltaDiscoveryResponse, type DiscoveryRequest, type DiscoveryResponse,
} from '@weft/xds-api/discovery';
import { NodeSchema } from '@weft/xds-api/core';
import { typeUrls, type ResourceType } from '../generate/generator.js';

const definition = serviceDefinition(AggregatedDiscoveryService);

export type NodeInit = MessageInitShape<typeof NodeSchema>;

export const weftNode = (overrides: NodeInit = {}): NodeInit => ({ id: 'weft~127.0.0.1~web.default~default.svc.cluster.local', userAgentName: 'weft', ...overrides });

export class TestStream<Request, Response> {
  readonly #call: ClientDuplexStream<Request, Response>;
  readonly received: Response[] = [];
  readonly #waiting: ((response: Response) => void)[] = [];
  /** How the server ended the stream. */
  readonly ended: Promise<StatusObject>;

  constructor(client: Client, method: MethodDefinition<Request, Response>) {
    this.#call = client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, new Metadata());
    this.ended = new Promise((resolve) => this.#call.on('status', resolve));
    this.#call.on('error', () => undefined);
    this.#call.on('data', (response: Response) => {
      const waiting = this.#waiting.shift();
      if (waiting) waiting(response);
      else this.received.push(response);
    });
  }

  send(request: Request): void {
    this.#call.write(request);
  }

  /** The next response that nobody took yet. */
  next(): Promise<Response> {
    const ready = this.received.shift();
    return ready ? Promise.resolve(ready) : new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Stops reading, so that flow control holds the server back. */
  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }

  cancel(): void {
    this.#call.cancel();
  }

  end(): void {
    this.#call.end();
  }
}

export class SotwStream extends TestStream<DiscoveryRequest, DiscoveryResponse> {
  readonly node: NodeInit | undefined;
  #first = true;

  constructor(client: Client, node: NodeInit | undefined) {
    super(client, definition.streamAggregatedResources as never);
    this.node = node;
  }

  /** One request: the names, and what it acknowledges or rejects. */
  ask(type: ResourceType, resourceNames: readonly string[], { nonce = '', version = '', error }: { nonce?: string; version?: string; error?: string } = {}): void {
    this.request({ typeUrl: typeUrls[type], resourceNames: [...resourceNames], responseNonce: nonce, versionInfo: version, ...(error !== undefined && { errorDetail: { code: 3, message: error } }) });
  }

  request(init: MessageInitShape<typeof DiscoveryRequestSchema>): void {
    this.send(create(DiscoveryRequestSchema, (this.#first && this.node ? { ...init, node: this.node } : init) as typeof init));
    this.#first = false;
  }
}

export class DeltaStream extends TestStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
  readonly node: NodeInit | undefined;
  #first = true;

  constructor(client: Client, node: NodeInit | undefined) {
    super(client, definition.deltaAggregatedResources as never);
    this.node = node;
  }

  subscribe(type: ResourceType, ...names: string[]): void {
    this.request({ typeUrl: typeUrls[type], resourceNamesSubscribe: names });
  }

  unsubscribe(type: ResourceType, ...names: string[]): void {
    this.request({ typeUrl: typeUrls[type], resourceNamesUnsubscribe: names });
  }

  ack(response: DeltaDiscoveryResponse): void {
    this.request({ typeUrl: response.typeUrl, responseNonce: response.nonce });
  }

  nack(response: DeltaDiscoveryResponse, message: string): void {
    this.request({ typeUrl: response.typeUrl, responseNonce: response.nonce, errorDetail: { code: 3, message } });
  }

  request(init: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void {
    this.send(create(DeltaDiscoveryRequestSchema, (this.#first && this.node ? { ...init, node: this.node } : init) as typeof init));
    this.#first = false;
  }
}

/** One connection. */
export class AdsTestClient {
  readonly #client: Client;
  readonly #streams: { cancel(): void }[] = [];

  constructor(address: string, credentials: ChannelCredentials = grpcCredentials.createInsecure()) {
    this.#client = new Client(address, credentials, { 'grpc.use_local_subchannel_pool': 1, 'grpc.ssl_target_name_override': 'weft' });
  }

  sotw(node: NodeInit | undefined): SotwStream {
    return this.#opened(new SotwStream(this.#client, node));
  }

  delta(node: NodeInit | undefined = weftNode()): DeltaStream {
    return this.#opened(new DeltaStream(this.#client, node));
  }

  /** Breaks all streams. */
  close(): void {
    for (const stream of this.#streams) stream.cancel();
    this.#client.close();
  }

  #opened<T extends { cancel(): void }>(stream: T): T {
    this.#streams.push(stream);
    return stream;
  }
}

/** Names and texts of what a delta response carries; resources are taken as plain bytes of text. */
export function contentsOf(response: DeltaDiscoveryResponse | DiscoveryResponse): string[] {
  const text = (value: Uint8Array | undefined) => new TextDecoder().decode(value);
  return response.resources.map((resource) => ('resource' in resource ? `${resource.name}=${text(resource.resource?.value)}` : text((resource as { value: Uint8Array }).value)));
}

