// Policies that select workloads by label: PeerAuthentication, AuthorizationPolicy.
import type { Touch } from './dependency.js';
import { selects, type ModelBase } from './model-base.js';
import { AgeOrderedGroups } from './sorted-list.js';

type Labels = Readonly<Record<string, string>>;

export class PolicyIndex<P extends ModelBase & { selector?: Labels }> {
  readonly #byNamespace = new AgeOrderedGroups<P>();
  /** First part of the dependency keys. */
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  add(policy: P, touch: Touch): void {
    this.#byNamespace.add(policy.namespace, policy);
    touch(this.#place(policy));
  }

  delete(policy: P, touch: Touch): void {
    this.#byNamespace.delete(policy.namespace, policy);
    touch(this.#place(policy));
  }

  /** Policies of a namespace that are for all of its workloads, by age. */
  forNamespace(namespace: string, record: Touch): P[] {
    record(`${this.#prefix}/${namespace}`);
    return this.#byNamespace.get(namespace).filter((policy) => !isSelective(policy));
  }

  /** Policies of a namespace that select these labels, by age. */
  forLabels(namespace: string, labels: Labels, record: Touch): P[] {
    for (const name in labels) record(labelPlace(this.#prefix, namespace, name, labels[name]!));
    return this.#byNamespace.get(namespace).filter((policy) => isSelective(policy) && selects(policy.selector!, labels));
  }

  /** A selective policy touches only readers that have its first pair: others it can never select. */
  #place(policy: P): string {
    const name = policy.selector && Object.keys(policy.selector).sort()[0];
    if (name === undefined) return `${this.#prefix}/${policy.namespace}`;
    return labelPlace(this.#prefix, policy.namespace, name, policy.selector![name]!);
  }
}

function isSelective(policy: { selector?: Labels }): boolean {
  return policy.selector !== undefined && Object.keys(policy.selector).length > 0;
}

function labelPlace(prefix: string, namespace: string, name: string, value: string): string {
  return `${prefix}/${namespace}/${name}=${value}`;
}
