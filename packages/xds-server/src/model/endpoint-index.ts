// Which workloads are behind which services: selectors, EndpointSlices, endpoints written inside a ServiceEntry.
import { isDeepStrictEqual } from 'node:util';
import { dependency, type Touch } from './dependency.js';
import { endpointPort, own } from './endpoint-port.js';
import type { ServiceEndpoint } from './mesh-reader.js';
import { selects } from './model-base.js';
import { LabelIndex, SelectorIndex } from './selector-index.js';
import type { Service, ServicePort } from './service.js';
import type { ServiceIndex } from './service-index.js';
import { SliceIndex } from './slice-index.js';
import type { EndpointGroup, Workload } from './workload.js';

/** A workload behind a service. */
interface Member {
  workload: Workload;
  ready: boolean;
  /** Present for members that came through an EndpointSlice: its ports by the service's port names. */
  slicePorts?: Readonly<Record<string, number>>;
}

export class EndpointIndex {
  readonly selectors = new SelectorIndex<Service>();
  readonly labels = new LabelIndex<Workload>();
  readonly #services: ServiceIndex;
  readonly #slices: SliceIndex;
  readonly #workloads = new Map<string, Workload>();
  readonly #byAddress = new Map<string, Set<Workload>>();
  readonly #inlineOwner = new Map<string, string>();
  /** Services whose endpoints the running batch may have altered: by key, the hosts they have or had. */
  readonly #stale = new Map<string, Set<string>>();
  readonly #accounts = new Map<string, readonly string[]>();

  constructor(services: ServiceIndex, clusterDomain: string) {
    this.#services = services;
    this.#slices = new SliceIndex(clusterDomain);
  }

  /** `counterpart`: the same object before or after, where it is replaced and not added or removed. */
  addService(service: Service, touch: Touch, counterpart?: Service): void {
    this.selectors.add(service);
    for (const workload of service.endpoints) this.#inlineOwner.set(workload.key, service.key);
    this.#serviceChanged(service, touch, counterpart);
  }

  deleteService(service: Service, touch: Touch, counterpart?: Service): void {
    this.#serviceChanged(service, touch, counterpart);
    this.selectors.delete(service);
    for (const workload of service.endpoints) this.#inlineOwner.delete(workload.key);
  }

  #serviceChanged(service: Service, touch: Touch, counterpart: Service | undefined): void {
    if (!counterpart || !sameMembers(service, counterpart)) this.#markStale(service);
    if (Object.keys(service.selector).length > 0) touch(dependency.selectors(service.namespace));
    for (const { workload } of this.#members(service)) touch(dependency.servicesOf(workload.key));
  }

  #markStale(service: Service): void {
    const hosts = this.#stale.get(service.key);
    if (hosts) hosts.add(service.host);
    else this.#stale.set(service.key, new Set([service.host]));
  }

  addWorkload(workload: Workload, touch: Touch, counterpart?: Workload): void {
    this.#workloads.set(workload.key, workload);
    this.labels.add(workload);
    const place = dependency.workloads(workload.namespace, workload.address);
    const there = this.#byAddress.get(place);
    if (there) there.add(workload);
    else this.#byAddress.set(place, new Set([workload]));
    if (workload.via === 'pod') this.#slices.addPod(workload);
    this.#workloadChanged(workload, touch, counterpart);
  }

  deleteWorkload(workload: Workload, touch: Touch, counterpart?: Workload): void {
    this.#workloadChanged(workload, touch, counterpart);
    this.#workloads.delete(workload.key);
    this.labels.delete(workload);
    const place = dependency.workloads(workload.namespace, workload.address);
    const there = this.#byAddress.get(place);
    there?.delete(workload);
    if (there?.size === 0) this.#byAddress.delete(place);
    if (workload.via === 'pod') this.#slices.deletePod(workload);
  }

  #workloadChanged(workload: Workload, touch: Touch, counterpart: Workload | undefined): void {
    touch(dependency.workloads(workload.namespace, workload.address));
    if (!counterpart || !joinsAlike(workload, counterpart)) touch(dependency.servicesOf(workload.key));
    for (const service of this.#joined(workload)) this.#markStale(service);
  }

  addSlice(slice: EndpointGroup, touch: Touch, counterpart?: EndpointGroup): void {
    const first = this.#slices.of(this.#slices.hostOf(slice)).length === 0;
    if (first) this.#directMembersChanged(slice, touch, counterpart);
    this.#slices.add(slice);
    this.#sliceChanged(slice, touch, counterpart);
  }

  deleteSlice(slice: EndpointGroup, touch: Touch, counterpart?: EndpointGroup): void {
    this.#sliceChanged(slice, touch, counterpart);
    this.#slices.delete(slice);
    const last = this.#slices.of(this.#slices.hostOf(slice)).length === 0;
    if (last) this.#directMembersChanged(slice, touch, counterpart);
  }

  /** The first slice of a service takes it away from the Pods it selects directly, and the last one gives it back. */
  #directMembersChanged(slice: EndpointGroup, touch: Touch, counterpart: EndpointGroup | undefined): void {
    if (counterpart && this.#slices.hostOf(counterpart) === this.#slices.hostOf(slice)) return;
    for (const service of this.#sliced(slice)) {
      for (const { workload } of this.#members(service)) touch(dependency.servicesOf(workload.key));
    }
  }

  #sliceChanged(slice: EndpointGroup, touch: Touch, counterpart: EndpointGroup | undefined): void {
    for (const service of this.#sliced(slice)) this.#markStale(service);
    // Ports decide whether a member has any port of the service at all.
    const same = counterpart && counterpart.service === slice.service && isDeepStrictEqual(counterpart.ports, slice.ports);
    const kept = new Set(same ? counterpart.endpoints.map((endpoint) => endpoint.pod) : []);
    for (const { pod } of slice.endpoints) {
      const workload = pod !== undefined && !kept.has(pod) ? this.#slices.pod(pod) : undefined;
      if (workload) touch(dependency.servicesOf(workload.key));
    }
  }

  /** Ends a batch: what became of the services whose members changed. */
  settle(touch: Touch): void {
    for (const [key, hosts] of this.#stale) {
      const service = this.#services.byKey(key);
      const accounts = service ? this.#accountsOf(service) : [];
      const otherAccounts = !isDeepStrictEqual(accounts, this.#accounts.get(key) ?? []);
      for (const host of hosts) {
        touch(dependency.endpoints(host));
        if (otherAccounts) touch(dependency.accounts(host));
      }
      if (service && accounts.length > 0) this.#accounts.set(key, accounts);
      else this.#accounts.delete(key);
    }
    this.#stale.clear();
  }

  endpoints(service: Service, port: ServicePort, record: Touch): readonly ServiceEndpoint[] {
    record(dependency.endpoints(service.host));
    const found: ServiceEndpoint[] = [];
    for (const member of this.#members(service)) {
      const number = member.ready ? portOf(member, port) : undefined;
      if (number !== undefined) found.push({ workload: member.workload, address: member.workload.address, port: number });
    }
    found.sort((a, b) => compare(a.address, b.address) || a.port - b.port || compare(a.workload.key, b.workload.key));
    // Two objects may describe one socket (a Pod and a WorkloadEntry): traffic must not count it twice.
    return found.filter((endpoint, at) => at === 0 || endpoint.address !== found[at - 1]!.address || endpoint.port !== found[at - 1]!.port);
  }

  /**
   * The accounts of all members, ready or not: the set must not change while instances come and go, since every
   * client of the service has it in its cluster.
   */
  serviceAccounts(service: Service, record: Touch): readonly string[] {
    record(dependency.accounts(service.host));
    return this.#accountsOf(service);
  }

  #accountsOf(service: Service): readonly string[] {
    const accounts = new Set<string>();
    for (const { workload } of this.#members(service)) {
      if (workload.serviceAccount !== undefined) accounts.add(`${workload.namespace}/${workload.serviceAccount}`);
    }
    return [...accounts].sort();
  }

  workloadsByAddress(namespace: string, address: string, record: Touch): readonly Workload[] {
    const place = dependency.workloads(namespace, address);
    record(place);
    return [...(this.#byAddress.get(place) ?? [])].sort((a, b) => compare(a.key, b.key));
  }

  servicesOf(workload: Workload, record: Touch): readonly Service[] {
    record(dependency.servicesOf(workload.key));
    if (!this.#workloads.has(workload.key)) record(dependency.selectors(workload.namespace));
    return [...this.#joined(workload)]
      .filter((service) => this.#hasPort(service, workload))
      .sort((a, b) => compare(a.host, b.host) || compare(a.key, b.key));
  }

  #hasPort(service: Service, workload: Workload): boolean {
    const direct = isDirect(workload, this.#slicesOf(service).length > 0) && isSelectedBy(service, workload);
    const member = direct ? { workload, ready: true } : this.#members(service).find((other) => other.workload.key === workload.key);
    return member !== undefined && service.ports.some((port) => portOf(member, port) !== undefined);
  }

  /** Services this workload is or would be a member of; the cost depends on its labels and slices only. */
  *#joined(workload: Workload): Generator<Service> {
    const seen = new Set<Service>();
    for (const service of this.selectors.matching(workload.namespace, workload.labels)) {
      if (isDirect(workload, this.#slicesOf(service).length > 0)) seen.add(service);
    }
    if (workload.via === 'pod') {
      for (const slice of this.#slices.ofPod(workload)) for (const service of this.#sliced(slice)) seen.add(service);
    }
    const inline = this.#inlineOwner.get(workload.key);
    const owner = inline !== undefined && this.#services.byKey(inline);
    if (owner) seen.add(owner);
    yield* seen;
  }

  #members(service: Service): Member[] {
    const slices = this.#slicesOf(service);
    const members: Member[] = service.endpoints.map((workload) => ({ workload, ready: true }));
    for (const workload of this.labels.selected(service.namespace, service.selector)) {
      if (isDirect(workload, slices.length > 0)) members.push({ workload, ready: workload.via !== 'pod' || workload.health !== 'unhealthy' });
    }
    if (slices.length > 0) members.push(...this.#slices.members(slices, service));
    return members;
  }

  #slicesOf(service: Service): readonly EndpointGroup[] {
    return takesSlices(service) ? this.#slices.of(service.host) : [];
  }

  /** The services whose endpoints a slice gives. */
  #sliced(slice: EndpointGroup): Service[] {
    return this.#services.at(this.#slices.hostOf(slice)).filter(takesSlices);
  }
}

function takesSlices(service: Service): boolean {
  return service.cluster && (service.resolution === 'selector' || service.resolution === 'slices');
}

/** Pods come through EndpointSlices where there are any: Kubernetes decided which of them are ready. */
function isDirect(workload: Workload, hasSlices: boolean): boolean {
  return workload.via !== 'pod' || !hasSlices;
}

function isSelectedBy({ namespace, selector }: Service, workload: Workload): boolean {
  return namespace === workload.namespace && Object.keys(selector).length > 0 && selects(selector, workload.labels);
}

function portOf(member: Member, port: ServicePort): number | undefined {
  return member.slicePorts ? own(member.slicePorts, port.name) : endpointPort(member.workload, port);
}

function sameMembers(a: Service, b: Service): boolean {
  const of = ({ host, namespace, cluster, resolution, selector, endpoints }: Service) => [host, namespace, cluster, resolution, selector, endpoints];
  return isDeepStrictEqual(of(a), of(b));
}

function joinsAlike(a: Workload, b: Workload): boolean {
  const of = ({ namespace, name, labels, via, ports, boundPorts }: Workload) => [namespace, name, labels, via, ports, boundPorts];
  return isDeepStrictEqual(of(a), of(b));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
