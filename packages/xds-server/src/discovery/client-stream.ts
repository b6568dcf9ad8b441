// One ADS stream: requests in, responses out, at most one response under way. State waits in the subscriptions, not in a queue:
// a client that reads slowly gets the latest state when it reads, and costs no memory until then.
import { status } from '@grpc/grpc-js';
import type { Clock, Logger, Timer } from '@weft/spiffe';
import { sameFacets } from '../generate/resource-graph-facets.js';
import { resourceTypes, typeUrls, type NodeFacets, type Profile, type ProfileName, type ResourceType } from '../generate/generator.js';
import type { ResourceGraph } from '../generate/resource-graph.js';
import { rootSecretName } from '../generate/secret.js';
import type { StreamLimits } from './admission.js';
import { excessOf, readNode, type ClientNode } from './client-node.js';
import type { DiscoveryStats } from './discovery-stats.js';
import { authorize, StreamRefused, type CallerIdentity } from './node-auth.js';
import { nodeTemplate, type NodeTemplate } from './node-facets.js';
import type { Phase, Protocol, RequestHead } from './protocol.js';
import { TypeSubscription, type Contents, type ResourceView } from './subscription.js';

/** The way back to the client. */
export interface StreamTransport {
  /** Calls back when the message left, however long the client makes it wait. */
  write(message: Buffer, done: () => void): void;
  end(code: status, reason: string): void;
}

/** Who listens to what streams subscribe to, besides the graph: registration. */
export interface StreamObserver {
  /** Called once, when the node is known and authorized. */
  opened(stream: ClientStream): void;
  /** @returns why this client may not have the resource, where it may not. */
  subscribed(stream: ClientStream, type: ResourceType, name: string): string | undefined;
  unsubscribed(stream: ClientStream, type: ResourceType, name: string): void;
  health(stream: ClientStream, ready: boolean, message: string): void;
  closed(stream: ClientStream): void;
}

export interface StreamContext {
  readonly graph: ResourceGraph;
  readonly profiles: Readonly<Record<ProfileName, Profile>>;
  readonly observer: StreamObserver;
  readonly stats: DiscoveryStats;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: StreamLimits;
}

/** Characters of a client's own words that are kept and logged. */
const maxReason = 4096;
const maxName = 2048;
const healthTypeUrl = 'type.googleapis.com/istio.v1.HealthInformation';
export const inboundPrefix = 'weft/inbound/';
const types = new Map<string, ResourceType>(resourceTypes.map((type) => [typeUrls[type], type]));

let streams = 0;

export class ClientStream<Request extends RequestHead = RequestHead> {
  readonly number = ++streams;
  readonly since: number;
  readonly protocol: Protocol<Request>;
  /** Undefined on the plain text port: an unauthenticated observer. */
  readonly caller: CallerIdentity | undefined;
  readonly peer: string;
  readonly subscriptions = new Map<string, TypeSubscription>();
  node: ClientNode | undefined;
  facets: NodeFacets | undefined;
  readonly #context: StreamContext;
  readonly #transport: StreamTransport;
  #template: NodeTemplate | undefined;
  #view: ResourceView | undefined;
  readonly #timers: Timer[] = [];
  #scheduled: NodeJS.Immediate | undefined;
  #writing = false;
  #closed = false;
  #draining = false;
  #responses = 0;
  readonly #loggedNacks = new Set<string>();
  /** Ports that were not registered, and so get no Listener. */
  readonly #refused = new Set<string>();

  constructor(context: StreamContext, protocol: Protocol<Request>, transport: StreamTransport, caller: CallerIdentity | undefined, peer: string) {
    this.#context = context;
    this.protocol = protocol;
    this.#transport = transport;
    this.caller = caller;
    this.peer = peer;
    this.since = context.clock.now();
    const after = (ms: number, fn: () => void) => void this.#timers.push(context.clock.setTimeout(fn, ms));
    // TLS checks a certificate only when the connection is made; what it grants must end with it.
    if (caller) after(caller.notAfter - this.since, () => this.end(status.UNAUTHENTICATED, `the client certificate of ${caller.spiffeId} expired; connect with a new one`));
    const { silentMs, maxAgeMs } = context.limits;
    after(silentMs, () => this.node || this.end(status.DEADLINE_EXCEEDED, `no request within ${silentMs} ms`));
    // Spread, or all that connected together would come back together.
    if (maxAgeMs !== undefined) after(maxAgeMs * (0.9 + Math.random() * 0.2), () => this.#retire());
  }

  get group() {
    return this.#template?.group();
  }

  get profile(): ProfileName | undefined {
    return this.node?.profile;
  }

  receive(request: Request): void {
    if (this.#closed) return;
    try {
      this.#receive(request);
    } catch (error) {
      if (error instanceof StreamRefused) return this.#refuse(error);
      this.#context.stats.internalErrors++;
      this.#context.logger.error({ err: error, node: this.node?.id }, 'a discovery request could not be handled');
      this.end(status.INTERNAL, 'the request could not be handled');
    }
  }

  /** The client is gone, or its stream is. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#timers) timer.cancel();
    if (this.#scheduled) clearImmediate(this.#scheduled);
    for (const subscription of this.subscriptions.values()) subscription.close();
    this.#template?.close();
    if (this.node) this.#context.observer.closed(this);
  }

  end(code: status, reason: string): void {
    if (this.#closed) return;
    this.close();
    this.#transport.end(code, reason);
  }

  /** Ends the stream after what is due was sent: after a response, clients reconnect without backing off. */
  drain(): void {
    this.#draining = true;
    this.#wake();
  }

  /** A client that reads nothing must not outlive its time by that. */
  #retire(): void {
    this.#timers.push(this.#context.clock.setTimeout(() => this.end(status.UNAVAILABLE, 'the stream has reached its greatest age'), 10_000));
    this.drain();
  }

  #receive(request: Request): void {
    if (!this.node) this.#open(request);
    const { typeUrl } = request;
    if (typeUrl === healthTypeUrl) {
      // Istio's agents say "not ready" with an error detail.
      return this.#context.observer.health(this, !request.errorDetail, request.errorDetail?.message.slice(0, maxReason) ?? '');
    }
    let subscription = this.subscriptions.get(typeUrl);
    if (!subscription) {
      if (this.subscriptions.size >= 32) throw new StreamRefused(status.RESOURCE_EXHAUSTED, 'too many resource types on one stream');
      subscription = new TypeSubscription(typeUrl, types.get(typeUrl), this.#view!, this.#wake);
      this.subscriptions.set(typeUrl, subscription);
    }
    this.#acknowledge(subscription, request);
    const before = this.#inboundNames(subscription);
    this.protocol.apply(request, subscription, !subscription.requested);
    subscription.requested = true;
    this.#observe(subscription, before);
    for (const name of subscription.dirty) if (name.length > maxName) throw new StreamRefused(status.INVALID_ARGUMENT, `a resource name of ${name.length} characters; at most ${maxName} are allowed`);
    const { names, namesWithoutWildcard } = this.#context.limits;
    const most = this.#view!.profile.wildcard ? names : Math.min(names, namesWithoutWildcard);
    if (this.#names() > most) throw new StreamRefused(status.RESOURCE_EXHAUSTED, `more than ${most} names on one stream`);
    this.#wake();
  }

  #open(request: Request): void {
    if (!request.node) throw new StreamRefused(status.INVALID_ARGUMENT, 'the first request of a stream must carry the node');
    const node = readNode(request.node);
    const excess = excessOf(node);
    if (excess) throw new StreamRefused(status.INVALID_ARGUMENT, excess);
    const { graph, profiles, observer } = this.#context;
    const template = nodeTemplate(graph, node, this.caller, () => this.#templateChanged());
    try {
      if (this.caller) authorize(this.caller, node, template.group());
    } catch (error) {
      template.close();
      throw error;
    }
    this.#template = template;
    this.node = node;
    this.facets = template.facets();
    this.#view = { graph, profile: profiles[node.profile], node: this.facets, withheld: this.#withheld() };
    observer.opened(this);
  }

  /** A port that may not register gets no Listener: nothing may serve under a WorkloadGroup that does not exist. Strangers get no secrets. */
  #withheld(): ResourceView['withheld'] {
    const missing = this.caller !== undefined && this.node?.group !== undefined && !this.group;
    return (type, name) => {
      // A Secret of the configuration may hold a private key; what the mesh itself publishes is no secret.
      if (type === 'secret') return this.caller === undefined && name !== rootSecretName;
      return type === 'listener' && name.startsWith(inboundPrefix) && (missing || this.#refused.has(name));
    };
  }

  #templateChanged(): void {
    if (this.#closed || !this.node || !this.#template || !this.#view) return;
    try {
      if (this.caller) authorize(this.caller, this.node, this.group);
    } catch (error) {
      return this.#refuse(error as StreamRefused);
    }
    const facets = this.#template.facets();
    const withheld = this.#withheld();
    const probe = `${inboundPrefix}x`;
    if (this.facets && sameFacets(this.facets, facets) && withheld('listener', probe) === this.#view.withheld('listener', probe)) return;
    this.facets = facets;
    this.#view = { ...this.#view, node: facets, withheld };
    for (const subscription of this.subscriptions.values()) subscription.setView(this.#view);
    this.#wake();
  }

  #acknowledge(subscription: TypeSubscription, { responseNonce, errorDetail }: Request): void {
    if (!responseNonce) return;
    const { clock, logger, stats } = this.#context;
    const rejection = errorDetail && { reason: errorDetail.message.slice(0, maxReason), at: clock.now() };
    const contents = subscription.settleNonce(responseNonce, rejection);
    if (!contents || !rejection) return;
    stats.rejected(subscription.typeUrl);
    const note = `${subscription.typeUrl} ${rejection.reason}`;
    if (this.#loggedNacks.has(note)) return;
    if (this.#loggedNacks.size < 100) this.#loggedNacks.add(note);
    logger.warn({ node: this.node?.id, type: subscription.typeUrl, names: shortened(contents), reason: rejection.reason }, `${this.node?.id} rejected ${subscription.typeUrl}: ${rejection.reason}`);
  }

  #inboundNames(subscription: TypeSubscription): ReadonlySet<string> {
    if (subscription.type !== 'listener' || this.node?.profile !== 'weft') return new Set();
    return new Set([...subscription.entries.values()].filter(({ named, name }) => named && name.startsWith(inboundPrefix)).map(({ name }) => name));
  }

  #observe(subscription: TypeSubscription, before: ReadonlySet<string>): void {
    const after = this.#inboundNames(subscription);
    for (const name of before) {
      if (after.has(name)) continue;
      this.#refused.delete(name);
      this.#context.observer.unsubscribed(this, 'listener', name);
    }
    for (const name of after) {
      const reason = before.has(name) ? undefined : this.#context.observer.subscribed(this, 'listener', name);
      if (reason === undefined) continue;
      // A server that nobody is sent to would look healthy; without its Listener it says that it is not served.
      this.#refused.add(name);
      subscription.refresh(name);
      this.#context.stats.registrationsRefused++;
      this.#context.logger.error({ node: this.node?.id, identity: this.caller?.spiffeId, name, reason }, `${this.node?.id}: ${name} is not registered: ${reason}`);
    }
  }

  #names(): number {
    let count = 0;
    for (const { entries } of this.subscriptions.values()) count += entries.size;
    return count;
  }

  /** All that happens in one turn of the event loop becomes one response for each type. */
  readonly #wake = (): void => {
    if (this.#closed || this.#writing) return;
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined;
      this.#pump();
    });
  };

  #pump(): void {
    if (this.#closed || this.#writing) return;
    let message: Buffer | undefined;
    try {
      message = this.#next('update') ?? this.#next('remove');
    } catch (error) {
      this.#context.stats.internalErrors++;
      this.#context.logger.error({ err: error, node: this.node?.id }, 'a discovery response could not be made');
      return this.end(status.INTERNAL, 'the response could not be made');
    }
    if (!message) {
      if (this.#draining) this.end(status.OK, '');
      return;
    }
    this.#writing = true;
    this.#transport.write(message, () => {
      this.#writing = false;
      this.#pump();
    });
  }

  #next(phase: Phase): Buffer | undefined {
    const order = phase === 'update' ? this.#inOrder() : this.#inOrder().reverse();
    for (const subscription of order) {
      const nonce = `${this.number}-${this.#responses + 1}`;
      const updated = this.#clustersToWarm(subscription);
      const response = this.protocol.respond(subscription, phase, nonce);
      if (!response) continue;
      this.#responses++;
      subscription.responded(nonce, response.contents);
      const endpoints = this.subscriptions.get(typeUrls.endpoint);
      for (const name of updated) endpoints?.resend(name);
      const message = Buffer.concat(response.chunks);
      this.#context.stats.pushed(subscription.typeUrl, message.length);
      return message;
    }
    return undefined;
  }

  /** Envoy warms an updated cluster until its endpoints are sent again, and in this protocol cannot ask for what it already names. */
  #clustersToWarm(subscription: TypeSubscription): readonly string[] {
    if (subscription.type !== 'cluster' || this.protocol.name !== 'sotw' || this.profile !== 'envoy') return [];
    return [...subscription.dirty].filter((name) => {
      const entry = subscription.entries.get(name);
      return entry?.sent !== undefined && subscription.need(entry) === 'update';
    });
  }

  #inOrder(): TypeSubscription[] {
    const known = resourceTypes.map((type) => this.subscriptions.get(typeUrls[type])).filter((subscription) => subscription !== undefined);
    return [...known, ...[...this.subscriptions.values()].filter(({ type }) => type === undefined)];
  }

  #refuse({ code, message }: StreamRefused): void {
    this.#context.stats.refused++;
    this.#context.logger.warn({ node: this.node?.id, identity: this.caller?.spiffeId, peer: this.peer, reason: message }, `a discovery stream was refused: ${message}`);
    this.end(code, message);
  }
}

function shortened(contents: Contents): string[] {
  const names = [...contents.keys()];
  return names.length <= 10 ? names : [...names.slice(0, 10), `… ${names.length - 10} more`];
}
