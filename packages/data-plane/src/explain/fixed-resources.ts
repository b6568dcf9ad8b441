// Resources that are there from the start, in the place of a control plane: for looking at configuration without a network.
import { MeshError } from '../errors.js';
import type { ResourceType } from '../xds/resource-type.js';
import type { ResourceWatcher, Subscription, XdsClient, XdsStatus } from '../xds/xds-client.js';

export interface ResourceSource {
  /** An encoded resource; undefined where there is none of that name. May make it only now. */
  get(typeUrl: string, name: string): Uint8Array | undefined;
}

interface Decoded {
  resource?: unknown;
  error?: MeshError;
}

export class FixedResources implements XdsClient {
  readonly #source: ResourceSource;
  readonly #decoded = new Map<string, Decoded>();
  /** Changes what was decoded before anybody sees it. */
  readonly #edit: (typeName: string, resource: unknown) => unknown;

  constructor(source: ResourceSource, edit: (typeName: string, resource: unknown) => unknown = (_typeName, resource) => resource) {
    this.#source = source;
    this.#edit = edit;
  }

  watch<T>(type: ResourceType<T>, name: string, watcher: ResourceWatcher<T>): Subscription {
    const { resource, error } = this.#find(type, name);
    if (error) watcher.onError(error);
    else if (resource === undefined) watcher.onAbsent(new MeshError('WEFT_NO_CONFIG', `${type.name} ${name} is not there`));
    else watcher.onResource(resource as T);
    return { close: () => undefined };
  }

  #find(type: ResourceType<unknown>, name: string): Decoded {
    const key = `${type.name} ${name}`;
    let found = this.#decoded.get(key);
    if (!found) this.#decoded.set(key, (found = this.#decode(type, name)));
    return found;
  }

  #decode(type: ResourceType<unknown>, name: string): Decoded {
    const value = this.#source.get(type.typeUrl, name);
    if (!value) return {};
    try {
      return { resource: this.#edit(type.name, type.decode(value).resource) };
    } catch (error) {
      return { error: new MeshError('WEFT_RESOURCE_INVALID', (error as Error).message, { cause: error }) };
    }
  }

  status(): XdsStatus {
    return { servers: [], resources: [] };
  }

  close(): void {}
}
