// What a load-balancing policy is. One file a policy, one line in builtin.ts; applications may pass their own.
import type { DescMessage } from '@weft/xds-api/protobuf';
import type { HostCandidates } from './override-hosts.js';
import type { Host, LoadTracker } from '../upstream/host.js';

export type { AttemptTracker, HeaderLookup } from '../upstream/attempt-tracker.js';
export type { LoadTracker } from '../upstream/host.js';

export interface LoadBalancerFactory<Config = unknown> {
  /** `envoy.load_balancing_policies.round_robin`. */
  readonly name: string;
  /** Of the message in load_balancing_policy. */
  readonly typeUrl: string;
  /** Its descriptor: with it the configuration may also come as a TypedStruct. Without, the value of one comes to `parse` as JSON text (UTF-8). */
  readonly messages?: readonly DescMessage[];
  /** The request's hash decides: locality weights then scale host weights instead of choosing a locality at random, which would break affinity. */
  readonly hashBased?: boolean;
  /** Reads the encoded message; throws where it is invalid. */
  parse(value: Uint8Array): Config;
  /** `tracker`: what `createTracker` made for this cluster. A cluster has one balancer for each priority, locality and subset. */
  create(config: Config, context: LoadBalancerContext, tracker?: LoadTracker): LoadBalancer;
  /** For policies that learn from attempts: one a cluster, for as long as it has this configuration. */
  createTracker?(config: Config, context: TrackerContext): LoadTracker;
}

export interface LoadBalancerContext {
  /** Uniform in [0, 1). Tests pass their own. */
  random(): number;
  /** Milliseconds. */
  now(): number;
  /** Attempts that run at all hosts of the cluster. */
  activeRequests(): number;
}

export interface TrackerContext extends LoadBalancerContext {
  setTimeout(run: () => void, ms: number): { cancel(): void };
  /** Of all priorities, now. */
  hosts(): readonly Host[];
  /** Load reports (encoded) that a gRPC host sends by itself, about as often as asked for. Absent where nothing can open such streams. */
  readonly loadReports?: ((host: Host, periodMs: number, onReport: (message: Uint8Array) => void) => { close(): void }) | undefined;
  /** What the policy knows of hosts has changed: pickers are to be made anew. */
  changed(): void;
}

/** What a host says of its own load (ORCA). */
export interface LoadReport {
  readonly cpuUtilization: number;
  readonly applicationUtilization: number;
  /** Requests and errors a second. */
  readonly rps: number;
  readonly eps: number;
  /** `cpu_utilization`, `mem_utilization`, `application_utilization`, `named_metrics.NAME`, `utilization.NAME`. */
  metric(name: string): number | undefined;
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
  /** Hosts that a retry's predicates are against; picked anew like those in `attempted`. */
  refuses?: (host: Host) => boolean;
  /** Retries: after every so many attempts, the priorities of their hosts are left out (previous_priorities). */
  previousPriorities?: { readonly attempted: readonly Host[]; readonly updateFrequency: number };
  /** How often this attempt's pick was refused so far: policies by hash go on to another host. */
  reselection?: number;
  /** How often a host in `attempted` is picked anew before it is taken after all. Default 1, as Envoy's. */
  hostSelectionAttempts?: number;
  /** 0 for the first attempt. */
  attempt: number;
  /** From the route (`envoy.lb` of its metadata_match): chooses a subset of hosts. The same object for all requests of a route. */
  metadataMatch?: Readonly<Record<string, unknown>>;
  /** A host that is to be taken, whatever the policy says, where it can be (session affinity). */
  overrideHost?: OverrideHost;
  /** Hosts that attempts are to go to in turn, as far as the cluster has them. */
  candidates?: HostCandidates;
}

export interface OverrideHost {
  /** `IP:port`, `[IPv6]:port`. */
  readonly address: string;
  /** No other host will do. */
  readonly strict: boolean;
  /** What is answered where it is strict and the host is not there. Default 503. */
  readonly missingStatus?: number;
}
