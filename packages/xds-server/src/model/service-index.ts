// Services by host and address, and what a client means by a dialled name (contracts.md 3).
import { isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { dependency, type Touch } from './dependency.js';
import { exportedTo, hostPatterns, normalizeHost } from './host-pattern.js';
import type { Service } from './service.js';
import { AgeOrderedGroups, byAgeAndKey } from './sorted-list.js';

/** A cluster's own service keeps its host, however old a ServiceEntry that also claims it may be. */
function byOwnership(a: Service, b: Service): number {
  return Number(b.cluster) - Number(a.cluster) || byAgeAndKey(a, b);
}

/**
 * Endpoints written inside a service are a dependency of their own, and change far more often than the rest: listeners, routes
 * and clusters must not be made again for them. Whether there are any is part of the rest.
 */
function sameButEndpoints(a: Service, b: Service | undefined): boolean {
  return b !== undefined && (a.endpoints.length === 0) === (b.endpoints.length === 0) && isDeepStrictEqual({ ...a, endpoints: [] }, { ...b, endpoints: [] });
}

export class ServiceIndex {
  readonly #byHost = new AgeOrderedGroups<Service>(byOwnership);
  readonly #byAddress = new AgeOrderedGroups<Service>(byOwnership);
  readonly #byKey = new Map<string, Service>();
  readonly #clusterDomain: string;

  constructor(clusterDomain: string) {
    this.#clusterDomain = clusterDomain;
  }

  add(service: Service, touch: Touch, previous?: Service): void {
    this.#byKey.set(service.key, service);
    this.#byHost.add(service.host, service);
    for (const address of service.addresses) this.#byAddress.add(address, service);
    if (!sameButEndpoints(service, previous)) this.#touch(service, touch);
  }

  delete(service: Service, touch: Touch, next?: Service): void {
    this.#byKey.delete(service.key);
    this.#byHost.delete(service.host, service);
    for (const address of service.addresses) this.#byAddress.delete(address, service);
    if (!sameButEndpoints(service, next)) this.#touch(service, touch);
  }

  #touch(service: Service, touch: Touch): void {
    touch(dependency.services);
    touch(dependency.service(service.host));
    for (const address of service.addresses) touch(dependency.address(address));
  }

  /** All services of a host; usually one. */
  at(host: string): readonly Service[] {
    return this.#byHost.get(host);
  }

  byKey(key: string): Service | undefined {
    return this.#byKey.get(key);
  }

  service(host: string, record: Touch): Service | undefined {
    record(dependency.service(host));
    return this.#byHost.get(host)[0];
  }

  resolve(dialled: string, namespace: string, record: Touch): Service | undefined {
    const name = normalizeHost(dialled.replace(/^\[(.*)\]$/, '$1'));
    if (isIP(name)) {
      record(dependency.address(name));
      return visible(this.#byAddress.get(name), namespace);
    }
    // A host in full comes before a short name that is spelt the same (Istio never lets an alternate form shadow one).
    const exact = this.#visibleAt(name, namespace, record);
    if (exact) return exact;
    const expanded = this.#expand(name, namespace);
    const short = expanded && this.#visibleAt(expanded, namespace, record);
    if (short && short.cluster) return short;
    for (const pattern of hostPatterns(name)) {
      const found = pattern === name ? undefined : this.#visibleAt(pattern, namespace, record);
      if (found) return found;
    }
    return undefined;
  }

  #visibleAt(host: string, namespace: string, record: Touch): Service | undefined {
    record(dependency.service(host));
    return visible(this.#byHost.get(host), namespace);
  }

  /** `payments`, `payments.NS`, `payments.NS.svc` in full. */
  #expand(name: string, namespace: string): string | undefined {
    const labels = name.split('.');
    if (labels.length === 1) return `${name}.${namespace}.svc.${this.#clusterDomain}`;
    if (labels.length === 2) return `${name}.svc.${this.#clusterDomain}`;
    return labels.length === 3 && labels[2] === 'svc' ? `${name}.${this.#clusterDomain}` : undefined;
  }

  visibleFrom(namespace: string, record: Touch): readonly Service[] {
    record(dependency.services);
    const hosts = new Set(Array.from(this.#byKey.values(), (service) => service.host));
    const found: Service[] = [];
    for (const host of [...hosts].sort()) {
      const service = visible(this.#byHost.get(host), namespace);
      if (service) found.push(service);
    }
    return found;
  }
}

/**
 * Of several services with one host, the client's own namespace's comes first: two teams may each declare the same
 * external host for themselves.
 */
function visible(services: readonly Service[], namespace: string): Service | undefined {
  const exported = services.filter((service) => exportedTo(service.exportTo, namespace));
  return exported.find((service) => service.namespace === namespace) ?? exported[0];
}
