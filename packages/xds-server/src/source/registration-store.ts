import { listJson, putJson, type Store } from '@weft/store';
import type { Logger } from '@weft/spiffe';

/** One port of one process, as it registered. Everything else about the workload comes from its WorkloadGroup. */
export interface RegistrationRecord {
  readonly namespace: string;
  readonly group: string;
  readonly address: string;
  readonly port: number;
  readonly portName: string;
  /** The account of the SVID that registered it. */
  readonly serviceAccount: string;
  readonly health: 'healthy' | 'unhealthy';
  /** Milliseconds since the epoch. */
  readonly registeredAt: number;
}

const prefix = 'registration/';

/** Registrations on disk, so that a restart of the control plane takes no endpoint away. */
export class RegistrationStore {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #writes = new Set<Promise<unknown>>();

  constructor(store: Store, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  async load(): Promise<readonly RegistrationRecord[]> {
    const { entries } = await listJson<RegistrationRecord>(this.#store, prefix);
    return entries.map(({ value }) => value).filter(isRecord);
  }

  put(record: RegistrationRecord): void {
    this.#write(putJson(this.#store, keyOf(record), record));
  }

  delete(record: RegistrationRecord): void {
    this.#write(this.#store.delete(keyOf(record)));
  }

  /** Resolves when everything asked for so far is written. */
  async settled(): Promise<void> {
    await Promise.all(this.#writes);
  }

  /** A store that fails must not take the endpoint out of the mesh; it only makes it forgotten over a restart. */
  #write(write: Promise<unknown>): void {
    const settled = write.catch((error: unknown) => this.#logger.error({ err: error }, 'a registration could not be stored')).finally(() => this.#writes.delete(settled));
    this.#writes.add(settled);
  }
}

export function registrationKey({ namespace, group, address, port }: Omit<RegistrationRecord, 'portName' | 'serviceAccount' | 'health' | 'registeredAt'>): string {
  return `${namespace}/${group}/${address}/${port}`;
}

function keyOf(record: RegistrationRecord): string {
  return prefix + registrationKey(record);
}

function isRecord(value: Partial<RegistrationRecord> | undefined): value is RegistrationRecord {
  const texts = [value?.namespace, value?.group, value?.address, value?.portName, value?.serviceAccount];
  return texts.every((text) => typeof text === 'string' && text !== '') && Number.isInteger(value?.port);
}
