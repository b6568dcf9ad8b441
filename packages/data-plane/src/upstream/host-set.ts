// The hosts of a cluster. Endpoint updates keep a Host that is still there, with its connections, counters and ejection.
import type { LocalityHosts } from '../load-balancing/locality-picker.js';
import type { PriorityHosts } from '../load-balancing/priority-picker.js';
import type { EndpointConfig, EndpointsConfig } from '../resource/cluster-config.js';
import { Host, type HostCluster } from './host.js';

export class HostSet {
  readonly #cluster: HostCluster;
  #byKey: ReadonlyMap<string, Host> = new Map();
  #all: readonly Host[] = [];
  #priorities: readonly PriorityHosts[] = [];

  constructor(cluster: HostCluster) {
    this.#cluster = cluster;
  }

  get all(): readonly Host[] {
    return this.#all;
  }

  /** Of any priority, by `IP:port`. */
  get(key: string): Host | undefined {
    return this.#byKey.get(key);
  }

  /** By priority, 0 first. */
  get priorities(): readonly PriorityHosts[] {
    return this.#priorities;
  }

  /** Takes the new state as a whole; of those that left it, `keep` stay for now (`host.leaving`). `changed` are hosts that stay but whose transport must be made anew. An address that is there twice counts once. */
  update(endpoints: EndpointsConfig, now: number, keep: (host: Host) => boolean = () => false): { removed: Host[]; changed: Host[] } {
    const byKey = new Map<string, Host>();
    const changed: Host[] = [];
    const priorities: { hosts: Host[]; localities: LocalityHosts[] }[] = [];
    for (const locality of endpoints.localities) {
      const key = `${locality.region}/${locality.zone}/${locality.subZone}`;
      const hosts: Host[] = [];
      for (const endpoint of locality.endpoints) {
        const place = placeKey(endpoint);
        if (byKey.has(place)) continue;
        const known = this.#byKey.get(place);
        const host = known ?? new Host(this.#cluster, hostKey(endpoint), endpoint);
        if (!known || (!isUp(known.config) && isUp(endpoint))) host.availableSince = now;
        if (transportDiffers(host.config, endpoint)) changed.push(host);
        host.config = endpoint;
        host.leaving = false;
        host.priority = locality.priority;
        host.locality = key;
        byKey.set(place, host);
        hosts.push(host);
      }
      while (priorities.length <= locality.priority) priorities.push({ hosts: [], localities: [] });
      const priority = priorities[locality.priority] as (typeof priorities)[number];
      priority.hosts.push(...hosts);
      priority.localities.push({ key, weight: locality.weight, hosts });
    }
    for (const host of this.#all) {
      const place = placeKey(host.config);
      if (byKey.has(place) || !keep(host)) continue;
      host.leaving = true;
      byKey.set(place, host);
      while (priorities.length <= host.priority) priorities.push({ hosts: [], localities: [] });
      const priority = priorities[host.priority] as (typeof priorities)[number];
      priority.hosts.push(host);
      const index = priority.localities.findIndex(({ key }) => key === host.locality);
      // A locality that is gone as a whole has no weight any more.
      if (index === -1) priority.localities.push({ key: host.locality, weight: 0, hosts: [host] });
      else priority.localities[index] = { ...(priority.localities[index] as LocalityHosts), hosts: [...(priority.localities[index] as LocalityHosts).hosts, host] };
    }
    const removed = this.#all.filter((host) => byKey.get(placeKey(host.config)) !== host);
    for (const host of removed) host.removed = true;
    this.#byKey = byKey;
    this.#all = [...byKey.values()];
    this.#priorities = priorities;
    return { removed, changed };
  }
}

/** What a host is recognised by. */
function placeKey(endpoint: EndpointConfig): string {
  return endpoint.logicalName === undefined ? hostKey(endpoint) : `${endpoint.logicalName} ${hostKey(endpoint)}`;
}

/** `IP:port`, `[IPv6]:port` or the socket path. */
export function hostKey({ address, port }: Pick<EndpointConfig, 'address' | 'port'>): string {
  if (port === 0) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function isUp({ health }: EndpointConfig): boolean {
  return health === 'healthy' || health === 'unknown';
}

/** Whether connections made for `before` are wrong for `after`: another identity, another choice of TLS. */
function transportDiffers(before: EndpointConfig, after: EndpointConfig): boolean {
  return before !== after && (
    before.spiffeId !== after.spiffeId || before.identityMissing !== after.identityMissing || before.hostname !== after.hostname ||
    JSON.stringify(before.additionalAddresses) !== JSON.stringify(after.additionalAddresses) ||
    JSON.stringify(before.metadata['envoy.transport_socket_match']) !== JSON.stringify(after.metadata['envoy.transport_socket_match'])
  );
}
