// What a load-balancing policy is. One file a policy, one line in builtin.ts; applications may pass their own.
import type { Host } from '../upstream/host.js';

export interface LoadBalancerFactory<Config = unknown> {
  /** `envoy.load_balancing_policies.round_robin`. */
  readonly name: string;
  /** Of the message in load_balancing_policy. */
  readonly typeUrl: string;
  /** The request's hash decides: locality weights then scale host weights instead of choosing a locality at random, which would break affinity. */
  readonly hashBased?: boolean;
  /** Reads the encoded message; throws where it is invalid. */
  parse(value: Uint8Array): Config;
  create(config: Config, context: LoadBalancerContext): LoadBalancer;
}

export interface LoadBalancerContext {
  /** Uniform in [0, 1). Tests pass their own. */
  random(): number;
  /** Milliseconds. */
  now(): number;
}

/** Lives as long as its cluster; sees one flat list of available hosts. Priorities, localities, subsets and panic are around it. */
export interface LoadBalancer {
  /** `weight`: instead of the endpoints' own weights; above zero. */
  update(hosts: readonly Host[], weight?: (host: Host) => number): Picker;
}

/** An immutable view over hosts, replaced as a whole. */
export interface Picker {
  pick(context: PickContext): Host | undefined;
}

export interface PickContext {
  /** From the route's hash policies. */
  hash?: bigint;
  /** Hosts that earlier attempts of this request used. */
  attempted?: readonly Host[];
  /** How often this attempt's pick was refused so far: policies by hash go on to another host. */
  reselection?: number;
  /** How often a host in `attempted` is picked anew before it is taken after all. Default 1, as Envoy's. */
  hostSelectionAttempts?: number;
  /** 0 for the first attempt. */
  attempt: number;
}
