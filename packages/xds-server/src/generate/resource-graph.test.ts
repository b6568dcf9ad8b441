import { describe, expect, it, vi } from 'vitest';
import type { ChangeSet } from '../model/change-set.js';
import type { MeshReader } from '../model/mesh-reader.js';
import type { MeshSource } from '../model/mesh-source.js';
import type { GenerateContext, NodeFacets, Profile } from './generator.js';
import { ResourceGraph } from './resource-graph.js';

/** Endpoint addresses by host, and raw resources; each a dependency of its own. */
class Mesh implements MeshSource {
  readonly hosts = new Map<string, string[]>();
  readonly raw = new Map<string, Uint8Array>();
  readonly watchers = new Set<(change: ChangeSet) => void>();
  revision = 0;
  reader(record: (dependency: string) => void): MeshReader {
    return {
      service: (host: string) => (record(`endpoints/${host}`), this.hosts.has(host) ? { host, addresses: this.hosts.get(host) } : undefined),
      rawResource: (_: string, name: string) => (record(`raw/${name}`), this.raw.has(name) ? { typeUrl: 'type.googleapis.com/x', value: this.raw.get(name) } : undefined),
      rawResourceNames: () => (record('raw-names'), [...this.raw.keys()]),
      servicesVisibleFrom: () => (record('services'), [...this.hosts.keys()].map((host) => ({ host }))),
    } as unknown as MeshReader;
  }
  replace(): void {}
  batch(run: () => void): void {
    run();
  }
  onChange(watcher: (change: ChangeSet) => void) {
    this.watchers.add(watcher);
    return () => void this.watchers.delete(watcher);
  }
  change(...dependencies: string[]): void {
    const change = { revision: ++this.revision, dependencies: new Set(dependencies) };
    for (const watcher of this.watchers) watcher(change);
  }
  set(host: string, ...addresses: string[]): void {
    this.hosts.set(host, addresses);
    this.change(`endpoints/${host}`);
  }
}

const text = (value: string) => ({ typeUrl: 'type.googleapis.com/x', value: new TextEncoder().encode(value) });

function profile(generate: (name: string, context: GenerateContext) => string | undefined): Profile {
  return {
    name: 'weft',
    wildcard: false,
    generate: (_, name, context) => {
      const made = generate(name, context);
      return made === undefined ? undefined : text(made);
    },
    names: (_, { model }) => model.servicesVisibleFrom('default').map(({ host }) => host),
  };
}

const endpoints = profile((name, { model }) => model.service(name)?.addresses.join());

function node(facets: Partial<NodeFacets> = {}): NodeFacets {
  const locality = { region: '', zone: '', subZone: '' };
  return { namespace: 'default', workload: '', serviceAccount: 'default', labels: {}, locality, addresses: [], hasIdentity: false, portOffset: 0, userAgent: '', id: 'n', ...facets };
}

function content(resource: { value: Uint8Array } | undefined): string | undefined {
  return resource && new TextDecoder().decode(resource.value);
}

describe('the resource graph', () => {
  it.each([1000, 10_000])('regenerates one resource and tells only its subscribers when one endpoint of %i services changes', (size) => {
    const mesh = new Mesh();
    for (let i = 0; i < size; i++) mesh.set(`s${i}`, '10.0.0.1');
    const graph = new ResourceGraph({ model: mesh });
    const told: string[] = [];
    const subscriptions = Array.from({ length: 50 }, (_, i) =>
      // Each client follows ten services; exactly the first ten clients follow s7.
      Array.from({ length: 10 }, (__, j) => {
        const name = j === 0 && i < 10 ? 's7' : `s${100 + i * 10 + j}`;
        return graph.subscribe(endpoints, node({ id: `n${i}` }), 'endpoint', name, () => told.push(`n${i} ${name}`));
      }),
    ).flat();
    for (const subscription of subscriptions) void subscription.current()?.delta;
    const before = graph.stats;
    mesh.set('s7', '10.0.0.2');
    graph.flush();
    for (const subscription of subscriptions) void subscription.current()?.delta;
    expect(graph.stats).toEqual({ generatorRuns: before.generatorRuns + 1, encodes: before.encodes + 1, notifications: before.notifications + 10 });
    expect(told).toEqual(Array.from({ length: 10 }, (_, i) => `n${i} s7`));
  });

  it('does nothing for a service nobody subscribed to', () => {
    const mesh = new Mesh();
    const graph = new ResourceGraph({ model: mesh });
    graph.subscribe(endpoints, node(), 'endpoint', 'a', () => undefined);
    const before = graph.stats;
    mesh.set('b', '10.0.0.1');
    graph.flush();
    expect(graph.stats).toEqual(before);
  });

  it('tells nobody when the bytes did not change', () => {
    const mesh = new Mesh();
    mesh.set('a', '1');
    const graph = new ResourceGraph({ model: mesh });
    const onChange = vi.fn();
    const subscription = graph.subscribe(endpoints, node(), 'endpoint', 'a', onChange);
    const resource = subscription.current();
    mesh.set('a', '1');
    graph.flush();
    expect(onChange).not.toHaveBeenCalled();
    expect(subscription.current()).toBe(resource);
  });

  it('works a change off on the next turn of the event loop without being asked', async () => {
    const mesh = new Mesh();
    const graph = new ResourceGraph({ model: mesh });
    const onChange = vi.fn();
    graph.subscribe(endpoints, node(), 'endpoint', 'a', onChange);
    mesh.set('a', '1');
    mesh.set('a', '2');
    expect(onChange).not.toHaveBeenCalled();
    await vi.waitFor(() => expect(onChange).toHaveBeenCalledTimes(1));
  });

  it('is up to date when it is read between a change and its notification', () => {
    const mesh = new Mesh();
    const graph = new ResourceGraph({ model: mesh });
    const subscription = graph.subscribe(endpoints, node(), 'endpoint', 'a', () => undefined);
    expect(subscription.current()).toBeUndefined();
    mesh.set('a', '1');
    expect(content(subscription.current())).toBe('1');
  });

  it('shares a resource between clients that agree on the facets it read, and only between those', () => {
    const byNamespace = profile((_, context) => context.node.namespace);
    const graph = new ResourceGraph({ model: new Mesh() });
    const at = (facets: Partial<NodeFacets>) => graph.subscribe(byNamespace, node(facets), 'route', 'r', () => undefined).current();
    const first = at({ namespace: 'a', id: '1', labels: { app: 'x' } });
    expect(at({ namespace: 'a', id: '2', labels: { app: 'y' } })).toBe(first);
    expect(content(at({ namespace: 'b' }))).toBe('b');
    expect(graph.stats.generatorRuns).toBe(2);
  });

  it('depends on single labels where only those were compared', () => {
    const byVersion = profile((_, context) => context.node.labels['version'] ?? 'none');
    const graph = new ResourceGraph({ model: new Mesh() });
    const at = (labels: Record<string, string>) => content(graph.subscribe(byVersion, node({ labels }), 'route', 'r', () => undefined).current());
    expect([at({ version: 'v1', hash: '1' }), at({ version: 'v1', hash: '2' }), at({}), at({ hash: '3' }), at({ version: 'none' })]).toEqual(['v1', 'v1', 'none', 'none', 'none']);
    // A missing label and an empty or equal-looking one are different facts.
    expect(graph.stats.generatorRuns).toBe(3);
  });

  it('splits a variant when a change makes the generator read another facet, and merges it again', () => {
    const mesh = new Mesh();
    const sometimes = profile((_, context) => `${context.model.service('split') ? context.node.namespace : 'all'}`);
    const graph = new ResourceGraph({ model: mesh });
    const told: string[] = [];
    const [a, b] = ['a', 'b'].map((namespace) => graph.subscribe(sometimes, node({ namespace }), 'route', 'r', () => told.push(namespace)));
    expect(graph.stats.generatorRuns).toBe(1);
    mesh.set('split');
    graph.flush();
    expect([content(a!.current()), content(b!.current())]).toEqual(['a', 'b']);
    expect(graph.stats.generatorRuns).toBe(3);
    mesh.hosts.delete('split');
    mesh.change('endpoints/split');
    graph.flush();
    expect([content(a!.current()), content(b!.current())]).toEqual(['all', 'all']);
    expect(a!.current()).toBe(b!.current());
    expect(graph.stats.generatorRuns).toBe(4);
    expect(told).toEqual(['a', 'b', 'a', 'b']);
  });

  it('forgets what nobody subscribes to any more', () => {
    const mesh = new Mesh();
    const graph = new ResourceGraph({ model: mesh });
    const first = graph.subscribe(endpoints, node(), 'endpoint', 'a', () => undefined);
    const second = graph.subscribe(endpoints, node(), 'endpoint', 'a', () => undefined);
    first.close();
    mesh.set('a', '1');
    graph.flush();
    expect(graph.stats.generatorRuns).toBe(2);
    second.close();
    mesh.set('a', '2');
    graph.flush();
    expect(graph.stats.generatorRuns).toBe(2);
  });

  it('lets a raw resource beat the generated one, and comes back to it', () => {
    const mesh = new Mesh();
    mesh.set('a', 'generated');
    const graph = new ResourceGraph({ model: mesh });
    const subscription = graph.subscribe(endpoints, node(), 'endpoint', 'a', () => undefined);
    mesh.raw.set('a', new TextEncoder().encode('raw'));
    mesh.change('raw/a');
    expect(content(subscription.current())).toBe('raw');
    mesh.raw.delete('a');
    mesh.change('raw/a');
    expect(content(subscription.current())).toBe('generated');
  });

  it('keeps the last good resource while its generator throws, logs it once, and recovers', () => {
    const mesh = new Mesh();
    mesh.set('a', '1');
    const fragile = profile((name, { model }) => {
      const addresses = model.service(name)!.addresses.join();
      if (addresses === 'bad') throw new Error('boom');
      return addresses;
    });
    const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
    const graph = new ResourceGraph({ model: mesh, logger });
    const subscription = graph.subscribe(fragile, node(), 'endpoint', 'a', () => undefined);
    for (let i = 0; i < 3; i++) {
      mesh.set('a', 'bad');
      expect(content(subscription.current())).toBe('1');
    }
    expect(logger.error).toHaveBeenCalledTimes(1);
    expect(logger.error.mock.calls[0]![1]).toContain('weft endpoint a');
    mesh.set('a', '2');
    expect(content(subscription.current())).toBe('2');
  });

  it('regenerates what showed the trusted roots when they change', () => {
    let roots = ['one'];
    const watchers = new Set<() => void>();
    const authorities = { current: () => roots, subscribe: (fn: () => void) => (watchers.add(fn), () => void watchers.delete(fn)) };
    const graph = new ResourceGraph({ model: new Mesh(), authorities });
    const onChange = vi.fn();
    const secret = graph.subscribe(profile((_, context) => context.authorities().join()), node(), 'secret', 'ROOTCA', onChange);
    roots = ['two', 'one'];
    for (const watcher of watchers) watcher();
    graph.flush();
    expect(onChange).toHaveBeenCalledTimes(1);
    expect(content(secret.current())).toBe('two,one');
  });

  it('lists the names a wildcard stands for, raw ones included', () => {
    const mesh = new Mesh();
    mesh.set('b');
    const graph = new ResourceGraph({ model: mesh });
    const onChange = vi.fn();
    const names = graph.subscribeNames(endpoints, node(), 'cluster', onChange);
    expect(names.current()).toEqual(['b']);
    mesh.hosts.set('a', []);
    mesh.raw.set('c', new Uint8Array());
    mesh.change('services', 'raw-names');
    graph.flush();
    expect(onChange).toHaveBeenCalledTimes(1);
    expect(names.current()).toEqual(['a', 'b', 'c']);
  });

  it('makes a resource once for the command line, with its warnings', () => {
    const warned = profile((_, context) => (context.warn('withheld'), 'x'));
    const { resource, warnings } = new ResourceGraph({ model: new Mesh() }).generate(warned, node(), 'cluster', 'c');
    expect([content(resource), warnings]).toEqual(['x', ['withheld']]);
  });
});
