// Subsets (Envoy's subset load balancer): the route's metadata chooses hosts that have the same values; each subset balances for itself,
// as if it were the whole cluster. Immutable, like the pickers inside; a subset's picker is made for its first request.
import type { SubsetConfig, SubsetFallback } from '../resource/balancing-config.js';
import type { Host } from '../upstream/host.js';
import type { PickContext } from './load-balancer.js';
import type { ClusterPicker, PriorityHosts } from './priority-picker.js';

type Metadata = Readonly<Record<string, unknown>>;

const none: ClusterPicker = { pick: () => undefined, pickAt: () => undefined };
const noMetadata: Metadata = {};

export class SubsetPicker implements ClusterPicker {
  readonly #config: SubsetConfig;
  readonly #priorities: readonly PriorityHosts[];
  readonly #pickerOf: (subset: string, priorities: readonly PriorityHosts[]) => ClusterPicker;
  #index: ReadonlyMap<string, Subset> | undefined;
  readonly #pickers = new Map<string, ClusterPicker>();
  /** By the metadata of the route, which is one object for all its requests. */
  readonly #byMetadata = new WeakMap<Metadata, ClusterPicker>();

  /** `pickerOf` makes the picker of a subset; `subset` is its name, the same for the same values. */
  constructor(priorities: readonly PriorityHosts[], config: SubsetConfig, pickerOf: (subset: string, priorities: readonly PriorityHosts[]) => ClusterPicker) {
    this.#priorities = priorities;
    this.#config = config;
    this.#pickerOf = pickerOf;
  }

  pick(context: PickContext): Host | undefined {
    return this.#of(context).pick(context);
  }

  pickAt(priority: number, degraded: boolean, context: PickContext): Host | undefined {
    return this.#of(context).pickAt(priority, degraded, context);
  }

  has(subset: string): boolean {
    return subset === anySubset || subset === defaultSubset || this.#subsets.has(subset);
  }

  #of({ metadataMatch: metadata = noMetadata }: PickContext): ClusterPicker {
    let picker = this.#byMetadata.get(metadata);
    if (!picker) this.#byMetadata.set(metadata, (picker = this.#resolve(metadata)));
    return picker;
  }

  #resolve(metadata: Metadata): ClusterPicker {
    const { fallback_list: list, ...base } = metadata;
    if (!this.#config.metadataFallback || !Array.isArray(list)) return this.#select(metadata);
    if (list.length === 0) return this.#select(base);
    return firstOf(list.map((override: unknown) => this.#select({ ...base, ...(typeof override === 'object' && override !== null ? override : {}) })));
  }

  #select(metadata: Metadata): ClusterPicker {
    const { selectors, allowRedundantKeys, fallback, panicModeAny } = this.#config;
    const covered = allowRedundantKeys ? selectors.find(({ keys }) => keys.every((key) => Object.hasOwn(metadata, key))) : undefined;
    const wanted = covered ? only(metadata, covered.keys) : metadata;
    const keys = Object.keys(wanted).sort();
    const name = nameOf(keys.map((key) => [key, wanted[key]]));
    const subset = this.#subsets.get(name);
    if (subset) return this.#picker(name, subset);
    // The first that begins with these keys decides: Envoy keeps selectors as a tree by sorted keys, and where a longer one came before,
    // this one's fallback has no place in it.
    const first = selectors.find((candidate) => keys.every((key, i) => key === candidate.keys[i]));
    const selector = first?.keys.length === keys.length ? first : undefined;
    if (selector?.fallback === 'keys-subset') return this.#select(only(wanted, selector.fallbackKeys));
    if (selector?.fallback) return this.#fallback(selector.fallback);
    if (fallback === 'no-fallback') return none;
    const chosen = this.#fallback(fallback);
    return panicModeAny ? firstOf([chosen, this.#fallback('any-endpoint')]) : chosen;
  }

  #fallback(fallback: SubsetFallback): ClusterPicker {
    if (fallback === 'no-fallback') return none;
    const { defaultSubset: wanted, listAsAny } = this.#config;
    if (fallback === 'any-endpoint') return this.#picker(anySubset, { contains: () => true });
    return this.#picker(defaultSubset, { contains: (host) => Object.keys(wanted).every((key) => matches(metadataOf(host)?.[key], wanted[key], listAsAny)) });
  }

  #picker(name: string, { contains, single }: Subset): ClusterPicker {
    // Whatever its health and its priority.
    if (single) return { pick: () => single, pickAt: () => single };
    let picker = this.#pickers.get(name);
    if (!picker) this.#pickers.set(name, (picker = this.#pickerOf(name, this.#priorities.map((priority) => this.#filter(priority, contains)))));
    return picker;
  }

  #filter({ hosts, localities }: PriorityHosts, contains: (host: Host) => boolean): PriorityHosts {
    const { scaleLocalityWeight } = this.#config;
    return {
      hosts: hosts.filter(contains),
      localities: localities.map((locality) => {
        const chosen = locality.hosts.filter(contains);
        return { key: locality.key, hosts: chosen, weight: scaleLocalityWeight && locality.hosts.length > 0 ? Math.round((locality.weight * chosen.length) / locality.hosts.length) : locality.weight };
      }),
    };
  }

  get #subsets(): ReadonlyMap<string, Subset> {
    return (this.#index ??= indexOf(this.#priorities, this.#config));
  }
}

/** Names of other subsets are JSON arrays. */
const anySubset = 'any';
const defaultSubset = 'default';

interface Subset {
  readonly single?: Host;
  contains(host: Host): boolean;
}

function indexOf(priorities: readonly PriorityHosts[], { selectors, listAsAny }: SubsetConfig): Map<string, Subset> {
  const members = new Map<string, { hosts: Set<Host>; singleHost: boolean }>();
  for (const { hosts } of priorities) {
    for (const host of hosts) {
      for (const { keys, singleHost } of selectors) {
        for (const name of subsetsOf(host, keys, listAsAny)) {
          let subset = members.get(name);
          if (!subset) members.set(name, (subset = { hosts: new Set(), singleHost }));
          if (!subset.singleHost || subset.hosts.size === 0) subset.hosts.add(host);
        }
      }
    }
  }
  return new Map([...members].map(([name, { hosts, singleHost }]) => [name, { contains: (host) => hosts.has(host), ...(singleHost && { single: [...hosts][0] as Host }) }]));
}

/** None where the host lacks one of the keys; several where a value is a list. */
function subsetsOf(host: Host, keys: readonly string[], listAsAny: boolean): string[] {
  const metadata = metadataOf(host);
  let found: [string, unknown][][] = [[]];
  for (const key of keys) {
    if (!metadata || !Object.hasOwn(metadata, key)) return [];
    const value = metadata[key];
    const values: readonly unknown[] = listAsAny && Array.isArray(value) ? value : [value];
    found = found.flatMap((pairs) => values.map((item) => [...pairs, [key, item] as [string, unknown]]));
  }
  return keys.length === 0 ? [] : found.map(nameOf);
}

function metadataOf({ config }: Host): Metadata | undefined {
  return config.metadata['envoy.lb'];
}

function matches(value: unknown, wanted: unknown, listAsAny: boolean): boolean {
  const text = canonical(wanted);
  return value !== undefined && (canonical(value) === text || (listAsAny && Array.isArray(value) && value.some((item) => canonical(item) === text)));
}

function nameOf(pairs: readonly (readonly [string, unknown])[]): string {
  return canonical(pairs);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item) ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1))) : item);
}

function only(metadata: Metadata, keys: readonly string[]): Metadata {
  return Object.fromEntries(keys.filter((key) => Object.hasOwn(metadata, key)).map((key) => [key, metadata[key]]));
}

function firstOf(pickers: readonly ClusterPicker[]): ClusterPicker {
  const first = (pick: (picker: ClusterPicker) => Host | undefined): Host | undefined => {
    for (const picker of pickers) {
      const host = pick(picker);
      if (host) return host;
    }
    return undefined;
  };
  return { pick: (context) => first((picker) => picker.pick(context)), pickAt: (priority, degraded, context) => first((picker) => picker.pickAt(priority, degraded, context)) };
}
