// Raw resources by type and name. Two files may give one name: the first by order is served.
import { dependency, type Touch } from './dependency.js';
import type { RawResource } from './raw-resource.js';
import { AgeOrderedGroups } from './sorted-list.js';

export class RawIndex {
  readonly #byName = new AgeOrderedGroups<RawResource>();
  readonly #names = new Map<string, Set<string>>();

  add(resource: RawResource, touch: Touch): void {
    const { typeUrl, resourceName } = resource;
    const place = dependency.rawResource(typeUrl, resourceName);
    this.#byName.add(place, resource);
    touch(place);
    const names = this.#names.get(typeUrl) ?? new Set();
    if (!names.has(resourceName)) touch(dependency.rawNames(typeUrl));
    this.#names.set(typeUrl, names.add(resourceName));
  }

  delete(resource: RawResource, touch: Touch): void {
    const { typeUrl, resourceName } = resource;
    const place = dependency.rawResource(typeUrl, resourceName);
    this.#byName.delete(place, resource);
    touch(place);
    if (this.#byName.get(place).length > 0) return;
    touch(dependency.rawNames(typeUrl));
    this.#names.get(typeUrl)?.delete(resourceName);
  }

  resource(typeUrl: string, name: string, record: Touch): RawResource | undefined {
    const place = dependency.rawResource(typeUrl, name);
    record(place);
    return this.#byName.get(place)[0];
  }

  names(typeUrl: string, record: Touch): readonly string[] {
    record(dependency.rawNames(typeUrl));
    return [...(this.#names.get(typeUrl) ?? [])].sort();
  }
}
