// What one stream subscribes to of one resource type, what it was sent, and what it acknowledged. Both protocols (state of the
// world and delta) stand on this; they differ only in how requests and responses are written.
import type { NodeFacets, Profile, ResourceType } from '../generate/generator.js';
import type { NameSubscription, ResourceGraph, Subscription } from '../generate/resource-graph.js';
import type { EncodedResource } from '../generate/resource-graph-encoded.js';

/** The version by which a client knows that a resource does not exist. */
export const absent = '';

export interface Entry {
  readonly name: string;
  watch: Subscription;
  /** Subscribed to by its name; else only through the wildcard. */
  named: boolean;
  /** What the client has: a version, `absent`, or nothing yet (an answer is due). */
  sent: string | undefined;
  /** Kept to repeat it in full-state responses until what refers to it is gone. */
  sentResource: EncodedResource | undefined;
  acked: string | undefined;
  nack: { version: string; reason: string } | undefined;
}

/** The view of the graph that a stream's subscriptions share; replaced when what is known about the node changes. */
export interface ResourceView {
  readonly graph: ResourceGraph;
  readonly profile: Profile;
  readonly node: NodeFacets;
  /** Names for which this client must be told that they do not exist, whatever the generator would say. */
  withheld(type: ResourceType, name: string): boolean;
}

const nothing: Subscription = { current: () => undefined, close: () => undefined };

/** The `names` of a response, to be settled by its ACK or NACK: name → version or `absent`. */
export type Contents = ReadonlyMap<string, string>;

/** Responses that were neither ACKed nor NACKed; beyond this the oldest are forgotten (a client that never answers). */
const outstandingLimit = 64;

export class TypeSubscription {
  readonly typeUrl: string;
  /** Undefined for a type Weft does not serve: nothing exists of it. */
  readonly type: ResourceType | undefined;
  readonly entries = new Map<string, Entry>();
  /** Names that may need sending. */
  readonly dirty = new Set<string>();
  /** A request wants an answer even if nothing is to be told. */
  answerDue = false;
  /** SotW: an empty list after names means none, before them everything. */
  everNamed = false;
  requested = false;
  lastNonce = '';
  /** For people: the newest rejection that no later ACK settled. */
  rejected: { reason: string; at: number } | undefined;
  readonly #outstanding = new Map<string, Contents>();
  #view: ResourceView;
  #wildcard: NameSubscription | undefined;
  readonly #wake: () => void;

  constructor(typeUrl: string, type: ResourceType | undefined, view: ResourceView, wake: () => void) {
    this.typeUrl = typeUrl;
    this.type = type;
    this.#view = view;
    this.#wake = wake;
  }

  get wildcard(): boolean {
    return this.#wildcard !== undefined;
  }

  /** Only LDS and CDS have a wildcard in xDS, and only for profiles that may see the whole mesh. */
  get wildcardAllowed(): boolean {
    return this.#view.profile.wildcard && (this.type === 'listener' || this.type === 'cluster');
  }

  /** LDS and CDS responses of the state-of-the-world protocol must be complete: what is missing counts as deleted. */
  get fullState(): boolean {
    return this.type === 'listener' || this.type === 'cluster';
  }

  /**
   * Subscribes by name. The resource is sent even where the client was sent it before: it may have dropped it.
   * @param known the version the client says it has, from before a reconnect.
   */
  subscribe(name: string, known?: string): void {
    const entry = this.entries.get(name) ?? this.#add(name);
    entry.named = true;
    entry.sent = known;
    this.dirty.add(name);
    this.answerDue = true;
  }

  unsubscribe(name: string): void {
    const entry = this.entries.get(name);
    if (!entry?.named) return;
    entry.named = false;
    // With a wildcard beside it the client cannot know whether it still gets the resource: it is told again (xDS, "wildcard").
    if (this.#wildcard?.current().includes(name)) this.#resend(entry);
    else this.#forget(entry);
  }

  subscribeWildcard(known: ReadonlyMap<string, string> = new Map()): void {
    if (!this.type || this.#wildcard) return;
    this.answerDue = true;
    this.#wildcard = this.#view.graph.subscribeNames(this.#view.profile, this.#view.node, this.type, this.#namesChanged);
    const names = new Set(this.#wildcard.current());
    for (const name of names) {
      if (this.entries.has(name)) continue;
      this.#add(name).sent = known.get(name);
    }
    // What the client still has from before and is gone by now.
    for (const [name, version] of known) {
      if (names.has(name) || this.entries.has(name)) continue;
      this.#add(name).sent = version;
    }
  }

  unsubscribeWildcard(): void {
    if (!this.#wildcard) return;
    this.#wildcard.close();
    this.#wildcard = undefined;
    for (const entry of this.entries.values()) if (!entry.named) this.#forget(entry);
  }

  /** Makes the client get a resource again, as Envoy needs the endpoints of a cluster that was updated to finish warming it. */
  resend(name: string): void {
    const entry = this.entries.get(name);
    if (entry && entry.sent !== undefined) this.#resend(entry);
  }

  /** What is known about the node changed: everything is looked up anew, and only differences are sent. */
  setView(view: ResourceView): void {
    this.#view = view;
    for (const name of this.entries.keys()) this.refresh(name);
    if (!this.#wildcard || !this.type) return;
    const old = this.#wildcard;
    this.#wildcard = view.graph.subscribeNames(view.profile, view.node, this.type, this.#namesChanged);
    old.close();
    this.#namesChanged();
  }

  /** Looks a name up anew: whether it is withheld has changed. */
  refresh(name: string): void {
    const entry = this.entries.get(name);
    if (!entry) return;
    const old = entry.watch;
    entry.watch = this.#watch(name);
    old.close();
    this.dirty.add(name);
  }

  /** `update`: something to send or an answer owed. `remove`: the client has it and it is gone. */
  need(entry: Entry): 'update' | 'remove' | undefined {
    const current = this.#exists(entry) ? entry.watch.current() : undefined;
    if (current) return entry.sent === current.version ? undefined : 'update';
    if (entry.sent === absent) return undefined;
    if (entry.sent !== undefined) return 'remove';
    // A name that was asked for and does not exist is answered at once; one that only a wildcard listed never was.
    return entry.named ? 'update' : undefined;
  }

  current(entry: Entry): EncodedResource | undefined {
    return this.#exists(entry) ? entry.watch.current() : undefined;
  }

  /** Notes what a response tells about an entry. */
  markSent(entry: Entry, resource: EncodedResource | undefined): void {
    entry.sent = resource?.version ?? absent;
    entry.sentResource = resource;
    this.dirty.delete(entry.name);
    if (!resource && !this.#exists(entry)) this.#forget(entry);
  }

  /** Drops from `dirty` what turned out to need nothing. */
  settle(name: string): void {
    const entry = this.entries.get(name);
    this.dirty.delete(name);
    if (entry && !this.#exists(entry) && (entry.sent === undefined || entry.sent === absent)) this.#forget(entry);
  }

  responded(nonce: string, contents: Contents): void {
    this.lastNonce = nonce;
    this.answerDue = false;
    this.#outstanding.set(nonce, contents);
    for (const oldest of this.#outstanding.keys()) {
      if (this.#outstanding.size <= outstandingLimit) break;
      this.#outstanding.delete(oldest);
    }
  }

  /** @returns what was rejected, or undefined for a nonce that is not outstanding (stale, or answered already). */
  settleNonce(nonce: string, rejection: { reason: string; at: number } | undefined): Contents | undefined {
    const contents = this.#outstanding.get(nonce);
    if (!contents) return undefined;
    this.#outstanding.delete(nonce);
    this.rejected = rejection;
    for (const [name, version] of contents) {
      const entry = this.entries.get(name);
      if (!entry) continue;
      if (rejection) entry.nack = { version, reason: rejection.reason };
      else {
        entry.acked = version;
        entry.nack = undefined;
      }
    }
    return contents;
  }

  close(): void {
    this.#wildcard?.close();
    for (const entry of this.entries.values()) entry.watch.close();
    this.entries.clear();
    this.dirty.clear();
  }

  /** Still wanted by the client: by name, or listed by its wildcard. */
  #exists(entry: Entry): boolean {
    return entry.named || this.#wildcardNames().has(entry.name);
  }

  #wildcardSet: { names: readonly string[]; set: ReadonlySet<string> } = { names: [], set: new Set() };

  #wildcardNames(): ReadonlySet<string> {
    const names = this.#wildcard?.current() ?? [];
    if (this.#wildcardSet.names !== names) this.#wildcardSet = { names, set: new Set(names) };
    return this.#wildcardSet.set;
  }

  readonly #namesChanged = (): void => {
    const names = this.#wildcardNames();
    for (const name of names) if (!this.entries.has(name)) this.#add(name);
    for (const entry of this.entries.values()) if (!entry.named && !names.has(entry.name)) this.dirty.add(entry.name);
    this.#wake();
  };

  #add(name: string): Entry {
    const entry: Entry = { name, watch: this.#watch(name), named: false, sent: undefined, sentResource: undefined, acked: undefined, nack: undefined };
    this.entries.set(name, entry);
    this.dirty.add(name);
    return entry;
  }

  #watch(name: string): Subscription {
    const { graph, profile, node } = this.#view;
    if (!this.type || this.#view.withheld(this.type, name)) return nothing;
    return graph.subscribe(profile, node, this.type, name, () => {
      this.dirty.add(name);
      this.#wake();
    });
  }

  #resend(entry: Entry): void {
    entry.sent = undefined;
    this.dirty.add(entry.name);
  }

  #forget(entry: Entry): void {
    entry.watch.close();
    this.entries.delete(entry.name);
    this.dirty.delete(entry.name);
  }
}
