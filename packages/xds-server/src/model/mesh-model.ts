import { isDeepStrictEqual } from 'node:util';
import type { ChangeSet, Dependency } from './change-set.js';
import { dependency, type Touch } from './dependency.js';
import { EndpointIndex } from './endpoint-index.js';
import type { MeshReader, MeshSettings } from './mesh-reader.js';
import type { MeshSource } from './mesh-source.js';
import type { ModelObject } from './model-object.js';
import type { ModelIndexes } from './model-indexes.js';
import { ModelView } from './model-view.js';
import { PolicyIndex } from './policy-index.js';
import { RawIndex } from './raw-index.js';
import { RouteIndex } from './route-index.js';
import { ServiceIndex } from './service-index.js';
import { TrafficPolicyIndex } from './traffic-policy-index.js';
import type { WorkloadGroup } from './workload.js';

export const defaultMeshSettings: MeshSettings = {
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  rootNamespace: 'istio-system',
};

/** The mesh as it is now, and what each change of it may have altered. */
export class MeshModel implements MeshSource {
  readonly settings: MeshSettings;
  readonly indexes: ModelIndexes;
  #revision = 0;
  readonly #byOwner = new Map<string, Map<string, ModelObject>>();
  readonly #ownerOf = new Map<string, string>();
  readonly #watchers = new Set<(change: ChangeSet) => void>();
  #depth = 0;
  #changed = false;
  #touched = new Set<Dependency>();
  readonly #touch: Touch = (place) => void this.#touched.add(place);

  constructor(settings: Partial<MeshSettings> = {}) {
    this.settings = { ...defaultMeshSettings, ...settings };
    const services = new ServiceIndex(this.settings.clusterDomain);
    this.indexes = {
      services,
      endpoints: new EndpointIndex(services, this.settings.clusterDomain),
      routes: new RouteIndex(),
      traffic: new TrafficPolicyIndex(this.settings.rootNamespace),
      peers: new PolicyIndex('mtls'),
      authorizations: new PolicyIndex('authz'),
      groups: new Map(),
      rawResources: new RawIndex(),
    };
  }

  get revision(): number {
    return this.#revision;
  }

  reader(record: (dependency: Dependency) => void): MeshReader {
    return new ModelView(this.settings, this.indexes, record);
  }

  /** Everything the model holds, for analysis and display. */
  *objects(): Generator<ModelObject> {
    for (const objects of this.#byOwner.values()) yield* objects.values();
  }

  objectsOf(owner: string): readonly ModelObject[] {
    return [...(this.#byOwner.get(owner)?.values() ?? [])];
  }

  replace(owner: string, objects: readonly ModelObject[]): void {
    const before = this.#byOwner.get(owner) ?? new Map<string, ModelObject>();
    const after = new Map(objects.map((object) => [identity(object), object]));
    for (const id of after.keys()) {
      const other = this.#ownerOf.get(id);
      if (other !== undefined && other !== owner) throw new Error(`${id} of ${owner} already belongs to ${other}`);
    }
    this.batch(() => {
      for (const [id, old] of before) {
        const next = after.get(id);
        if (next && isDeepStrictEqual(old, next)) after.set(id, old);
        else this.#delete(id, old, next);
      }
      for (const [id, object] of after) {
        const old = before.get(id);
        if (old !== object) this.#add(owner, id, object, old);
      }
      if (after.size > 0) this.#byOwner.set(owner, after);
      else this.#byOwner.delete(owner);
    });
  }

  batch(run: () => void): void {
    this.#depth++;
    try {
      run();
    } finally {
      if (--this.#depth === 0) this.#publish();
    }
  }

  onChange(watcher: (change: ChangeSet) => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  #publish(): void {
    if (!this.#changed) return;
    this.indexes.endpoints.settle(this.#touch);
    const change: ChangeSet = { revision: ++this.#revision, dependencies: this.#touched };
    this.#changed = false;
    this.#touched = new Set();
    for (const watcher of this.#watchers) watcher(change);
  }

  #add(owner: string, id: string, object: ModelObject, old: ModelObject | undefined): void {
    this.#changed = true;
    this.#ownerOf.set(id, owner);
    const { services, endpoints, routes, traffic, peers, authorizations, groups, rawResources } = this.indexes;
    switch (object.type) {
      case 'service':
        services.add(object, this.#touch, old as typeof object | undefined);
        return endpoints.addService(object, this.#touch, old as typeof object | undefined);
      case 'workload':
        return endpoints.addWorkload(object, this.#touch, old as typeof object | undefined);
      case 'endpoint-group':
        return endpoints.addSlice(object, this.#touch, old as typeof object | undefined);
      case 'route-rule':
        return routes.add(object, this.#touch);
      case 'route-delegate':
        return routes.addDelegate(object, this.#touch);
      case 'traffic-policy':
        return traffic.add(object, this.#touch);
      case 'peer-policy':
        return peers.add(object, this.#touch);
      case 'authorization':
        return authorizations.add(object, this.#touch);
      case 'workload-group':
        groups.set(groupPlace(object), object);
        return this.#touch(groupPlace(object));
      case 'raw-resource':
        return rawResources.add(object, this.#touch);
      case 'namespace':
    }
  }

  #delete(id: string, object: ModelObject, next: ModelObject | undefined): void {
    this.#changed = true;
    this.#ownerOf.delete(id);
    const { services, endpoints, routes, traffic, peers, authorizations, groups, rawResources } = this.indexes;
    switch (object.type) {
      case 'service':
        endpoints.deleteService(object, this.#touch, next as typeof object | undefined);
        return services.delete(object, this.#touch, next as typeof object | undefined);
      case 'workload':
        return endpoints.deleteWorkload(object, this.#touch, next as typeof object | undefined);
      case 'endpoint-group':
        return endpoints.deleteSlice(object, this.#touch, next as typeof object | undefined);
      case 'route-rule':
        return routes.delete(object, this.#touch);
      case 'route-delegate':
        return routes.deleteDelegate(object, this.#touch);
      case 'traffic-policy':
        return traffic.delete(object, this.#touch);
      case 'peer-policy':
        return peers.delete(object, this.#touch);
      case 'authorization':
        return authorizations.delete(object, this.#touch);
      case 'workload-group':
        groups.delete(groupPlace(object));
        return this.#touch(groupPlace(object));
      case 'raw-resource':
        return rawResources.delete(object, this.#touch);
      case 'namespace':
    }
  }
}

function identity(object: ModelObject): string {
  return `${object.type} ${object.key}`;
}

function groupPlace(group: WorkloadGroup): Dependency {
  return dependency.group(group.namespace, group.name);
}
