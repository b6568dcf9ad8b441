// EndpointSlices by the service they belong to and the Pods they name.
import type { Service } from './service.js';
import { noLocality, type EndpointGroup, type Workload } from './workload.js';

type SliceEndpoint = EndpointGroup['endpoints'][number];

export class SliceIndex {
  readonly #byHost = new Map<string, EndpointGroup[]>();
  readonly #byPod = new Map<string, Set<EndpointGroup>>();
  readonly #pods = new Map<string, Workload>();
  readonly #clusterDomain: string;

  constructor(clusterDomain: string) {
    this.#clusterDomain = clusterDomain;
  }

  hostOf(slice: EndpointGroup): string {
    return `${slice.service}.${slice.namespace}.svc.${this.#clusterDomain}`;
  }

  add(slice: EndpointGroup): void {
    const host = this.hostOf(slice);
    const slices = [...this.of(host), slice].sort((a, b) => (a.key < b.key ? -1 : 1));
    this.#byHost.set(host, slices);
    for (const { pod } of slice.endpoints) {
      if (pod !== undefined) this.#byPod.set(pod, (this.#byPod.get(pod) ?? new Set()).add(slice));
    }
  }

  delete(slice: EndpointGroup): void {
    const host = this.hostOf(slice);
    const rest = this.of(host).filter((other) => other !== slice);
    if (rest.length > 0) this.#byHost.set(host, rest);
    else this.#byHost.delete(host);
    for (const { pod } of slice.endpoints) {
      const slices = pod !== undefined ? this.#byPod.get(pod) : undefined;
      slices?.delete(slice);
      if (slices?.size === 0) this.#byPod.delete(pod!);
    }
  }

  addPod(pod: Workload): void {
    this.#pods.set(podName(pod), pod);
  }

  deletePod(pod: Workload): void {
    this.#pods.delete(podName(pod));
  }

  of(host: string): readonly EndpointGroup[] {
    return this.#byHost.get(host) ?? [];
  }

  ofPod(pod: Workload): Iterable<EndpointGroup> {
    return this.#byPod.get(podName(pod)) ?? [];
  }

  pod(name: string): Workload | undefined {
    return this.#pods.get(name);
  }

  /** One member for each endpoint. A dual-stack Pod stands in a slice of each family: its first address counts. */
  members(slices: readonly EndpointGroup[], service: Service): { workload: Workload; ready: boolean; slicePorts: Readonly<Record<string, number>> }[] {
    const members = new Map<string, { workload: Workload; ready: boolean; slicePorts: Readonly<Record<string, number>> }>();
    for (const slice of slices) {
      for (const endpoint of slice.endpoints) {
        const address = endpoint.addresses[0];
        if (address === undefined) continue;
        const id = endpoint.pod ?? address;
        const known = members.get(id);
        // A slice per port list is legal: the same instance then has the ports of all of them.
        if (known && known.workload.address === address) {
          members.set(id, { ...known, ready: known.ready || endpoint.ready, slicePorts: { ...slice.ports, ...known.slicePorts } });
        } else if (!known) {
          members.set(id, { workload: this.#workload(slice, endpoint, address, service), ready: endpoint.ready, slicePorts: slice.ports });
        }
      }
    }
    return [...members.values()];
  }

  #workload(slice: EndpointGroup, endpoint: SliceEndpoint, address: string, service: Service): Workload {
    const locality = { ...noLocality, zone: endpoint.zone };
    const pod = endpoint.pod !== undefined ? this.#pods.get(endpoint.pod) : undefined;
    if (pod) {
      const known = pod.locality.region !== '' || pod.locality.zone !== '';
      return { ...pod, address, health: 'healthy', locality: known ? pod.locality : locality };
    }
    return {
      type: 'workload',
      key: `${slice.key}/${address}`,
      namespace: slice.namespace,
      name: endpoint.pod?.slice(endpoint.pod.indexOf('/') + 1) ?? service.name,
      origin: slice.origin,
      createdAt: slice.createdAt,
      address,
      ports: {},
      labels: {},
      locality,
      health: 'healthy',
      via: 'inline',
    };
  }
}

function podName(pod: Workload): string {
  return `${pod.namespace}/${pod.name}`;
}
