import { FakeClock } from '@weft/spiffe/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MeshError } from '../errors.js';
import type { FilterContext, HttpFilterFactory } from '../filter/http-filter.js';
import type { FilterHost } from '../filter/filter-chain.js';
import { testFilter } from '../filter/test-filters.js';
import type { RouteConfigurationConfig } from '../resource/route-config.js';
import type { HttpFilterConfig } from '../resource/listener-config.js';
import { HttpFilterRegistry } from '../resource/http-filter.js';
import { routeConfigurationType } from '../resource/route-configuration.js';
import { clientListener, fault, forwardTo, rbac, router, rds, testTypes } from '../resource/testing.js';
import type { ClusterHandle, ClusterManager, ClusterState } from '../upstream/cluster-manager.js';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';
import type { ResourceType } from '../xds/resource-type.js';
import type { ResourceWatcher, XdsClient } from '../xds/xds-client.js';
import { requestHead, streamInfo } from '../route/test-support.js';
import { OutboundListeners } from './outbound-listeners.js';

const opened: { close(): void }[] = [];
afterEach(() => {
  for (const each of opened.splice(0)) each.close();
});

/** Resources as a test gives them; remembers who watches what. */
class FakeXds implements Pick<XdsClient, 'watch'> {
  readonly watchers = new Map<string, Set<ResourceWatcher<unknown>>>();

  watch<T>(type: ResourceType<T>, name: string, watcher: ResourceWatcher<T>) {
    const key = `${type.name} ${name}`;
    const all = this.watchers.get(key) ?? new Set();
    this.watchers.set(key, all);
    all.add(watcher as ResourceWatcher<unknown>);
    return { close: () => void (all.delete(watcher as ResourceWatcher<unknown>), all.size === 0 && this.watchers.delete(key)) };
  }

  tell(key: string, tell: (watcher: ResourceWatcher<unknown>) => void): void {
    for (const watcher of [...(this.watchers.get(key) ?? [])]) tell(watcher);
  }
}

class FakeClusters implements Pick<ClusterManager, 'acquire'> {
  readonly states = new Map<string, ClusterState>();
  readonly held = new Map<string, number>();
  readonly #listeners = new Map<string, Set<() => void>>();

  acquire(name: string): ClusterHandle {
    const { states, held } = this;
    held.set(name, (held.get(name) ?? 0) + 1);
    let released = false;
    const state = () => states.get(name) ?? 'pending';
    return {
      name,
      get state() { return state(); },
      get cluster() { return state() === 'ready' ? ({ name } as UpstreamCluster) : undefined; },
      error: undefined,
      subscribe: (fn) => {
        const listeners = this.#listeners.get(name) ?? new Set();
        this.#listeners.set(name, listeners);
        listeners.add(fn);
        return () => listeners.delete(fn);
      },
      release: () => {
        if (released) return;
        released = true;
        held.set(name, held.get(name)! - 1);
      },
    };
  }

  become(name: string, state: ClusterState): void {
    this.states.set(name, state);
    for (const fn of [...(this.#listeners.get(name) ?? [])]) fn();
  }

  get alive(): string[] {
    return [...this.held].filter(([, count]) => count > 0).map(([name]) => name).sort();
  }
}

const closed: string[] = [];
const probe: HttpFilterFactory = { name: 'probe', typeUrls: ['x/my.Probe'], sides: ['client'], parse: () => ({}), create: () => ({ forRoute: () => undefined, close: () => void closed.push('probe') }) };
const types = testTypes([probe]);
const probeFilter = { name: 'p', configType: { case: 'typedConfig', value: { typeUrl: 'x/my.Probe', value: new Uint8Array() } as never } } as const;

function setup(options: { maxNames?: number; idleMs?: number; ownFilters?(): HttpFilterConfig[] } = {}) {
  const xds = new FakeXds();
  const clusters = new FakeClusters();
  const clock = new FakeClock();
  const listeners = new OutboundListeners({
    xds: xds as never, clusters: clusters as never, clock, random: () => 0, filterContext: { random: () => 0 } as FilterContext,
    types: { listener: types.client, routeConfiguration: types.routes }, ...options,
  });
  opened.push(listeners);
  const give = (key: string, resource: unknown) => xds.tell(key, (watcher) => watcher.onResource(resource));
  return {
    xds, clusters, clock, listeners, give,
    listener: (init = {}) => give('Listener payments:8080', types.client.decode(clientListener(init)).resource),
    routes: (...names: string[]) => give('RouteConfiguration routes', routesTo(...names)),
  };
}

function routesTo(...names: string[]): RouteConfigurationConfig {
  return types.routes.decode(forwardTo(...names)).resource;
}

const clustersOf = (listeners: OutboundListeners) => [...(listeners.get('payments:8080').snapshot?.clusters.keys() ?? [])];

describe('outbound listeners', () => {
  it('are ready when the listener, its routes and every cluster are there', async () => {
    const { listeners, listener, routes, clusters } = setup();
    const state = listeners.get('payments:8080');
    const settled = vi.fn();
    void state.wait().then(settled);
    listener({ commonHttpProtocolOptions: { maxStreamDuration: { seconds: 1n } } });
    routes('a', 'b');
    clusters.become('a', 'ready');
    expect(state.state).toBe('pending');
    clusters.become('b', 'ready');
    expect(state).toMatchObject({ state: 'ready', error: undefined, snapshot: { name: 'payments:8080', maxStreamDurationMs: 1000 } });
    expect(clustersOf(listeners)).toEqual(['a', 'b']);
    expect(Object.isFrozen(state.snapshot)).toBe(true);
    await vi.waitFor(() => expect(settled).toHaveBeenCalled());
  });

  it('do not wait for clusters that are not there, and take them up when they come', () => {
    const { listeners, listener, routes, clusters } = setup();
    listeners.get('payments:8080');
    listener();
    clusters.states.set('a', 'ready').set('b', 'absent').set('c', 'error');
    routes('a', 'b', 'c');
    expect(clustersOf(listeners)).toEqual(['a']);
    const { snapshot } = listeners.get('payments:8080');
    clusters.become('b', 'ready');
    expect(clustersOf(listeners)).toEqual(['a', 'b']);
    expect([...snapshot!.clusters.keys()]).toEqual(['a']);
    expect(listeners.get('payments:8080').snapshot!.filters).toBe(snapshot!.filters);
    clusters.become('a', 'absent');
    expect(clustersOf(listeners)).toEqual(['b']);
  });

  it('keep the old snapshot, whole, until the new one is; then let go of what nobody names', () => {
    const { listeners, listener, routes, clusters } = setup();
    listeners.get('payments:8080');
    listener();
    clusters.states.set('a', 'ready').set('b', 'ready');
    routes('a', 'b');
    routes('b', 'c');
    expect(clustersOf(listeners)).toEqual(['a', 'b']);
    expect(clusters.alive).toEqual(['a', 'b', 'c']);
    routes('b', 'd');
    expect(clusters.alive).toEqual(['a', 'b', 'd']);
    clusters.become('c', 'ready');
    expect(clustersOf(listeners)).toEqual(['a', 'b']);
    clusters.become('d', 'ready');
    expect(clustersOf(listeners)).toEqual(['b', 'd']);
    expect(clusters.alive).toEqual(['b', 'd']);
  });

  it('change to routes of another name, and to inline ones, without a gap', () => {
    const { listeners, listener, routes, clusters, xds, give } = setup();
    listeners.get('payments:8080');
    listener();
    for (const name of ['a', 'b', 'c']) clusters.states.set(name, 'ready');
    routes('a');
    listener({ routeSpecifier: { ...rds, value: { ...rds.value, routeConfigName: 'others' } } });
    expect(clustersOf(listeners)).toEqual(['a']);
    expect([...xds.watchers.keys()]).toEqual(['Listener payments:8080', 'RouteConfiguration others']);
    give('RouteConfiguration others', routesTo('b'));
    expect(clustersOf(listeners)).toEqual(['b']);
    listener({ routeSpecifier: { case: 'routeConfig', value: { name: 'inline', virtualHosts: [{ name: 'v', domains: ['*'], routes: [{ match: { pathSpecifier: { case: 'prefix', value: '' } }, action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: 'c' } } } }] }] } } });
    expect(clustersOf(listeners)).toEqual(['c']);
    expect([...xds.watchers.keys()]).toEqual(['Listener payments:8080']);
  });

  it('run what the application asks for before the filters of the configuration, which may name it themselves', () => {
    const refuse = (details: string) => testFilter('weft.filters.http.adaptive_breaker', { decodeHeaders: () => ({ status: 503, body: '', details }) });
    const own = refuse('own');
    const { listeners, give, clusters } = setup({ ownFilters: () => [own] });
    listeners.get('payments:8080');
    clusters.states.set('a', 'ready');
    const decided = (httpFilters: readonly HttpFilterConfig[]) => {
      const { resource } = types.client.decode(clientListener());
      give('Listener payments:8080', { ...resource, api: { ...resource.api!, httpFilters, route: { kind: 'inline', config: routesTo('a') } } });
      const { routes, filters } = listeners.get('payments:8080').snapshot!;
      const [head, info] = [requestHead('/a'), streamInfo()];
      return filters.forRoute(routes.select(head, info)!)?.start({} as FilterHost).decode(head, info);
    };
    expect(decided([testFilter('later', { decodeHeaders: () => ({ status: 500, body: '', details: 'later' }) })])).toMatchObject({ details: 'own' });
    expect(decided([refuse('configured')])).toMatchObject({ details: 'configured' });
  });

  it('keep the state of filters over updates, and close them at the end', () => {
    const { listeners, listener, routes, clusters } = setup();
    closed.length = 0;
    listeners.get('payments:8080');
    listener({ httpFilters: [probeFilter, router] });
    clusters.states.set('a', 'ready').set('b', 'ready');
    routes('a');
    routes('b');
    expect(closed).toEqual([]);
    listener();
    expect(closed).toEqual(['probe']);
  });

  it('end with their listener, and come back with it', async () => {
    const { listeners, listener, routes, clusters, xds } = setup();
    const state = listeners.get('payments:8080');
    listener();
    clusters.states.set('a', 'ready');
    routes('a');
    xds.tell('Listener payments:8080', (watcher) => watcher.onAbsent(new MeshError('WEFT_NO_CONFIG', 'gone')));
    expect(state).toMatchObject({ state: 'absent', snapshot: undefined, error: { message: 'no configuration: gone' } });
    expect(clusters.alive).toEqual([]);
    await state.wait();
    listener();
    routes('a');
    expect(state).toMatchObject({ state: 'ready', error: undefined });
  });

  it('fail where their routes are gone', () => {
    const { listeners, listener, routes, clusters, xds } = setup();
    listeners.get('payments:8080');
    listener();
    clusters.states.set('a', 'ready');
    routes('a');
    xds.tell('RouteConfiguration routes', (watcher) => watcher.onAbsent(new Error('no routes')));
    expect(listeners.get('payments:8080')).toMatchObject({ state: 'error', snapshot: undefined });
    routes('a');
    expect(listeners.get('payments:8080').state).toBe('ready');
  });

  it('tell a refusal from an outage: only the first is an answer', () => {
    const { listeners, listener, routes, clusters, xds } = setup();
    const state = listeners.get('payments:8080');
    const fail = (error: Error) => xds.tell('Listener payments:8080', (watcher) => watcher.onError(error));
    fail(new MeshError('WEFT_NO_CONFIG', 'not reached'));
    expect(state).toMatchObject({ state: 'pending', error: { code: 'WEFT_NO_CONFIG' } });
    fail(new MeshError('WEFT_RESOURCE_INVALID', 'bad'));
    expect(state).toMatchObject({ state: 'error', error: { code: 'WEFT_RESOURCE_INVALID' } });
    listener();
    clusters.states.set('a', 'ready');
    routes('a');
    expect(state).toMatchObject({ state: 'ready', error: undefined });
    fail(new MeshError('WEFT_RESOURCE_INVALID', 'bad'));
    expect(state).toMatchObject({ state: 'ready', error: { code: 'WEFT_RESOURCE_INVALID' } });
    expect(clustersOf(listeners)).toEqual(['a']);
  });

  it('refuse routes that override a filter by the configuration of another kind', () => {
    const { listeners, listener, clusters, give } = setup();
    listeners.get('payments:8080');
    listener({ httpFilters: [fault, router] });
    clusters.states.set('a', 'ready');
    const type = routeConfigurationType({ filters: new HttpFilterRegistry([{ ...probe, name: 'rbac', typeUrls: ['type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC'] }]) });
    give('RouteConfiguration routes', type.decode(forwardTo.with({ typedPerFilterConfig: { fault: rbac.configType.value } }, 'a')).resource);
    expect(listeners.get('payments:8080')).toMatchObject({ state: 'error', error: { message: expect.stringMatching(/is for rbac, the filter of that name is envoy.filters.http.fault/) } });
  });

  it('are forgotten when they are idle or too many, and asked for again', () => {
    const { listeners, clock, xds } = setup({ maxNames: 2, idleMs: 1000 });
    listeners.get('a:1');
    clock.advance(10);
    listeners.get('b:1');
    clock.advance(10);
    const first = listeners.get('a:1');
    listeners.get('c:1');
    expect(listeners.names).toEqual(['a:1', 'c:1']);
    expect([...xds.watchers.keys()]).toEqual(['Listener a:1', 'Listener c:1']);
    for (let i = 0; i < 10; i++) {
      clock.advance(400);
      listeners.get('a:1');
    }
    expect(listeners.names).toEqual(['a:1']);
    clock.advance(2000);
    expect(listeners.names).toEqual([]);
    expect(first).toMatchObject({ state: 'absent', error: { code: 'WEFT_CLOSED' } });
    expect(listeners.get('a:1')).toMatchObject({ state: 'pending' });
    listeners.close();
    expect([xds.watchers.size, clock.pending]).toEqual([0, 0]);
  });

  it('stop waiting when the caller does', async () => {
    const { listeners } = setup();
    const controller = new AbortController();
    const waiting = listeners.get('a:1').wait(controller.signal);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(listeners.get('a:1').wait(controller.signal)).rejects.toThrow('enough');
  });
});
