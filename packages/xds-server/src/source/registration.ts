// Workloads that announce themselves on their ADS stream (contracts.md 2). A registration is held by streams; what it is comes
// from its WorkloadGroup, so it follows every change of the group and vanishes with it.
import { silentLogger, systemClock, type Clock, type Logger, type Timer } from '@weft/spiffe';
import type { Store } from '@weft/store';
import type { ResourceGraph } from '../generate/resource-graph.js';
import type { Watch } from '../generate/resource-graph-memo.js';
import type { MeshSource } from '../model/mesh-source.js';
import type { Workload, WorkloadGroup } from '../model/workload.js';
import { parseInboundName, reachableAddresses } from './registration-name.js';
import { RegistrationStore, registrationKey, type RegistrationRecord } from './registration-store.js';

/** An authenticated Weft stream whose claims were checked. */
export interface Registrant {
  readonly id: string;
  readonly namespace: string;
  readonly group: string;
  readonly serviceAccount: string;
  /** INSTANCE_IPS. */
  readonly addresses: readonly string[];
  /** Where its connection comes from, as far as the control plane sees. */
  readonly peerAddress?: string;
}

export interface RegistrarOptions {
  model: MeshSource;
  graph: ResourceGraph;
  store: Store;
  /** How long after a start nothing is withdrawn. Default 30 s. */
  graceMs?: number;
  /** How long a broken stream's ports stay. Default 10 s. */
  brokenMs?: number;
  /** Ports one stream may register. Default 256. */
  maxPorts?: number;
  /** Ports one identity may have registered, all its streams together. Default 5000. */
  maxRegistrations?: number;
  clock?: Clock;
  logger?: Logger;
}

interface Holding {
  readonly registrant: Registrant;
  /** Inbound Listener name → keys of what it registered. */
  readonly ports: Map<string, readonly string[]>;
  ready: boolean;
}

interface Registration {
  record: RegistrationRecord;
  /** Streams that hold it: several where cluster workers share the port. */
  readonly holders: Set<Holding>;
  withdrawal: Timer | undefined;
  /** The problem that was logged last, so that it is logged once. */
  logged: string | undefined;
  readonly group: Watch<WorkloadGroup | undefined>;
}

/** What the admin API shows. */
export interface RegistrationStatus extends RegistrationRecord {
  readonly workload: string;
  /** Node ids of the streams that hold it; none while it waits for its process to come back. */
  readonly holders: readonly string[];
  /** Why it takes no traffic, where it does not. */
  readonly problem?: string;
}

export class Registrar {
  readonly #options: Required<Omit<RegistrarOptions, 'store'>>;
  readonly #store: RegistrationStore;
  readonly #registrations = new Map<string, Registration>();
  readonly #holdings = new Map<object, Holding>();
  /** Keys by `address port`. */
  readonly #bySocket = new Map<string, Set<string>>();
  /** How many registrations each identity has. */
  readonly #byIdentity = new Map<string, number>();
  #graceUntil = 0;

  constructor({ store, ...options }: RegistrarOptions) {
    this.#options = { graceMs: 30_000, brokenMs: 10_000, maxPorts: 256, maxRegistrations: 5000, clock: systemClock, logger: silentLogger, ...options };
    this.#store = new RegistrationStore(store, this.#options.logger);
  }

  /** Takes over what registered before a restart; whoever does not come back within the grace time is withdrawn after it. */
  async start(): Promise<void> {
    const { clock, graceMs, model } = this.#options;
    this.#graceUntil = clock.now() + graceMs;
    const records = await this.#store.load();
    model.batch(() => {
      for (const record of records) {
        const registration = this.#add(record);
        this.#apply(registration);
        this.#withdrawLater(registration);
      }
    });
  }

  /** @param stream identifies the stream in the calls that follow. */
  opened(stream: object, registrant: Registrant): void {
    this.#holdings.set(stream, { registrant, ports: new Map(), ready: true });
  }

  /** @returns why the port may not be registered, where it may not. */
  subscribed(stream: object, name: string): string | undefined {
    const holding = this.#holdings.get(stream);
    if (!holding) return undefined;
    const { registrant } = holding;
    const { logger, maxPorts, maxRegistrations, model } = this.#options;
    const inbound = parseInboundName(name);
    if (!inbound) {
      logger.warn({ node: registrant.id, name }, `${registrant.id}: ${name} is not weft/inbound/PORTNAME/IP:PORT; nothing is registered`);
      return undefined;
    }
    if (holding.ports.size >= maxPorts) return `one process registers at most ${maxPorts} ports`;
    const identity = identityOf(registrant);
    if ((this.#byIdentity.get(identity) ?? 0) >= maxRegistrations) return `${identity} has ${maxRegistrations} registered ports, as many as one identity may have`;
    const addresses = reachableAddresses(inbound.address, registrant.addresses);
    if (addresses.length === 0) logger.warn({ node: registrant.id, name }, `${registrant.id} listens on ${inbound.address} and names no INSTANCE_IPS for it; nothing is registered`);
    model.batch(() => {
      holding.ports.set(name, addresses.map((address) => this.#hold(holding, { portName: inbound.portName, port: inbound.port, address })));
    });
    return undefined;
  }

  /** The process stopped listening, or drains: its port goes at once. */
  unsubscribed(stream: object, name: string): void {
    const holding = this.#holdings.get(stream);
    const keys = holding?.ports.get(name) ?? [];
    holding?.ports.delete(name);
    this.#options.model.batch(() => {
      for (const key of keys) {
        const registration = this.#registrations.get(key);
        if (!holding || !registration || [...holding.ports.values()].some((others) => others.includes(key))) continue;
        registration.holders.delete(holding);
        if (registration.holders.size === 0) this.#withdraw(registration);
        else this.#apply(registration);
      }
    });
  }

  health(stream: object, ready: boolean, message: string): void {
    const holding = this.#holdings.get(stream);
    if (!holding || holding.ready === ready) return;
    holding.ready = ready;
    this.#options.logger.info({ node: holding.registrant.id, ready, message }, `${holding.registrant.id} is ${ready ? 'ready' : `not ready: ${message}`}`);
    this.#options.model.batch(() => {
      for (const key of new Set([...holding.ports.values()].flat())) {
        const registration = this.#registrations.get(key);
        if (registration) this.#apply(registration);
      }
    });
  }

  /** The stream broke or ended. The process may be back in a moment, so its ports wait for it. */
  closed(stream: object): void {
    const holding = this.#holdings.get(stream);
    this.#holdings.delete(stream);
    if (!holding) return;
    for (const key of new Set([...holding.ports.values()].flat())) {
      const registration = this.#registrations.get(key);
      if (!registration?.holders.delete(holding)) continue;
      if (registration.holders.size === 0) this.#withdrawLater(registration);
    }
  }

  list(): readonly RegistrationStatus[] {
    return [...this.#registrations.values()].map((registration) => {
      const problem = this.#problem(registration);
      const { record, holders } = registration;
      return { ...record, workload: workloadName(record), holders: [...holders].map(({ registrant }) => registrant.id), ...(problem && { problem }) };
    });
  }

  get size(): number {
    return this.#registrations.size;
  }

  /** Stops all timers; what is registered stays in the store. */
  async close(): Promise<void> {
    for (const { withdrawal, group } of this.#registrations.values()) {
      withdrawal?.cancel();
      group.close();
    }
    this.#registrations.clear();
    this.#holdings.clear();
    await this.#store.settled();
  }

  #hold(holding: Holding, { portName, address, port }: { portName: string; address: string; port: number }): string {
    const { namespace, group, serviceAccount } = holding.registrant;
    const key = registrationKey({ namespace, group, address, port });
    this.#evictOrphansAt(address, port, key, holding.registrant);
    let registration = this.#registrations.get(key);
    if (!registration) {
      registration = this.#add({ namespace, group, address, port, portName, serviceAccount, health: 'healthy', registeredAt: this.#options.clock.now() });
      this.#store.put(registration.record);
    } else if (registration.record.portName !== portName || registration.record.serviceAccount !== serviceAccount) {
      this.#count(registration.record, -1);
      registration.record = { ...registration.record, portName, serviceAccount };
      this.#count(registration.record, 1);
      this.#store.put(registration.record);
    }
    registration.withdrawal?.cancel();
    registration.withdrawal = undefined;
    registration.holders.add(holding);
    this.#apply(registration);
    return key;
  }

  /**
   * A port has one owner: whoever waits there for a process that is gone must not get the traffic of the one that took the port.
   * Another identity must be seen to be at that address: claiming it is free, and after a restart of the control plane everybody waits.
   */
  #evictOrphansAt(address: string, port: number, by: string, registrant: Registrant): void {
    for (const key of this.#bySocket.get(`${address} ${port}`) ?? []) {
      const registration = this.#registrations.get(key);
      if (key === by || registration?.holders.size !== 0) continue;
      if (registrant.peerAddress === address || identityOf(registrant) === identityOf(registration.record)) this.#withdraw(registration);
    }
  }

  #count(record: RegistrationRecord, change: 1 | -1): void {
    const identity = identityOf(record);
    const count = (this.#byIdentity.get(identity) ?? 0) + change;
    if (count > 0) this.#byIdentity.set(identity, count);
    else this.#byIdentity.delete(identity);
  }

  #add(record: RegistrationRecord): Registration {
    const { graph, model } = this.#options;
    const { namespace, group } = record;
    const registration: Registration = {
      record,
      holders: new Set(),
      withdrawal: undefined,
      logged: undefined,
      group: graph.observe(`group/${namespace}/${group}`, (reader) => reader.workloadGroup(namespace, group), () => model.batch(() => this.#apply(registration))),
    };
    const key = registrationKey(record);
    const socket = `${record.address} ${record.port}`;
    this.#registrations.set(key, registration);
    this.#count(record, 1);
    this.#bySocket.set(socket, (this.#bySocket.get(socket) ?? new Set()).add(key));
    return registration;
  }

  /** Brings the model in line with a registration. */
  #apply(registration: Registration): void {
    const { record, holders } = registration;
    // Workers that share a port serve as long as one of them does. Without a holder the last word counts.
    const ready = holders.size === 0 ? record.health === 'healthy' : [...holders].some((holding) => holding.ready);
    const health = ready ? 'healthy' : 'unhealthy';
    if (record.health !== health) {
      registration.record = { ...record, health };
      this.#store.put(registration.record);
    }
    const problem = this.#problem(registration);
    const group = registration.group.current();
    this.#options.model.replace(ownerOf(record), problem === undefined && group ? [workloadOf(registration.record, group)] : []);
    if (problem !== undefined && registration.logged !== problem) {
      this.#options.logger.error({ registration: registrationKey(record) }, `${workloadName(record)} in ${record.namespace} is not registered: ${problem}`);
    }
    registration.logged = problem;
  }

  #problem({ record, group }: Registration): string | undefined {
    const found = group.current();
    const name = `WorkloadGroup ${record.namespace}/${record.group}`;
    if (!found) return `${name} does not exist; it registers when the group appears`;
    if (found.serviceAccount !== record.serviceAccount) return `${name} is for service account ${found.serviceAccount}, it registered as ${record.serviceAccount}`;
    return undefined;
  }

  #withdrawLater(registration: Registration): void {
    const { clock, brokenMs } = this.#options;
    const delay = Math.max(brokenMs, this.#graceUntil - clock.now());
    registration.withdrawal?.cancel();
    registration.withdrawal = clock.setTimeout(() => this.#withdraw(registration), delay);
  }

  #withdraw(registration: Registration): void {
    const { record } = registration;
    registration.withdrawal?.cancel();
    registration.group.close();
    const key = registrationKey(record);
    const socket = `${record.address} ${record.port}`;
    this.#registrations.delete(key);
    this.#count(record, -1);
    this.#bySocket.get(socket)?.delete(key);
    if (this.#bySocket.get(socket)?.size === 0) this.#bySocket.delete(socket);
    this.#store.delete(record);
    this.#options.model.replace(ownerOf(record), []);
  }
}

function identityOf({ namespace, serviceAccount }: Pick<RegistrationRecord, 'namespace' | 'serviceAccount'>): string {
  return `${namespace}/${serviceAccount}`;
}

function ownerOf(record: RegistrationRecord): string {
  return `registration/${registrationKey(record)}`;
}

/** GROUP-IP-PORT: processes on one host differ by port, workers that share a port do not. */
function workloadName({ group, address, port }: RegistrationRecord): string {
  return `${group}-${address.replaceAll(':', '-')}-${port}`;
}

function workloadOf(record: RegistrationRecord, group: WorkloadGroup): Workload {
  const name = workloadName(record);
  return {
    type: 'workload',
    key: `registration/${registrationKey(record)}`,
    namespace: record.namespace,
    name,
    origin: `registration ${record.namespace}/${name}`,
    createdAt: record.registeredAt,
    address: record.address,
    ports: group.ports,
    boundPorts: { [record.portName]: record.port },
    labels: group.labels,
    serviceAccount: group.serviceAccount,
    locality: group.locality,
    ...(group.weight !== undefined && { weight: group.weight }),
    health: record.health,
    via: 'registration',
    group: `${record.namespace}/${record.group}`,
  };
}
