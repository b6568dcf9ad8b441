// Peak EWMA: of two random hosts the one with the lower product of latency and requests in flight. Latency jumps up with a slow answer
// and comes down exponentially, so that a host which stalls is left at once (Finagle, Linkerd).
import type { DescMessage } from '@weft/xds-api/protobuf';
import { EnvoyAlphaPeakEwmaSchema, EnvoyPeakEwmaSchema, PeakEwmaSchema } from '@weft/xds-api/load-balancing';
import type { ResponseHead } from '../../stream/response-head.js';
import type { AttemptOutcome } from '../../upstream/attempt-outcome.js';
import type { Host } from '../../upstream/host.js';
import type { LoadBalancerFactory, LoadTracker, TrackerContext } from '../load-balancer.js';
import { positiveMs, readMessage } from './read-message.js';
import { knownFields } from '../../resource/report.js';

const fields = knownFields(PeakEwmaSchema, ['decay_time', 'default_rtt', 'failure_penalty']);

export interface PeakEwmaConfig {
  decayMs: number;
  /** Of a host that has not answered yet. */
  defaultRttMs: number;
  /** What a failure counts as at least; 0 = as it was. Lest a host that fails quickly attract all requests. */
  failurePenaltyMs: number;
}

class Latencies implements LoadTracker {
  readonly #config: PeakEwmaConfig;
  readonly #now: () => number;
  readonly #hosts = new WeakMap<Host, Latency>();

  constructor(config: PeakEwmaConfig, { now }: Pick<TrackerContext, 'now'>) {
    this.#config = config;
    this.#now = now;
  }

  of(host: Host): Latency {
    let latency = this.#hosts.get(host);
    if (!latency) this.#hosts.set(host, (latency = { estimate: this.#config.defaultRttMs, at: this.#now(), pending: 0 }));
    return latency;
  }

  /** Falls towards 0 while nothing is heard, so that an idle host is tried again. */
  cost({ estimate, at, pending }: Latency, now: number): number {
    return estimate * Math.exp((at - now) / this.#config.decayMs) * (pending + 1);
  }

  begin(host: Host) {
    const latency = this.of(host);
    let open = true;
    latency.pending++;
    const record = (ms: number) => {
      if (!open) return;
      open = false;
      latency.pending--;
      this.#record(latency, ms);
    };
    let failed = false;
    return {
      head: ({ status, grpcStatus }: ResponseHead) => {
        failed = isFailure(grpcStatus === undefined ? { status } : { grpcStatus });
      },
      // Of a failure the time says nothing good: it is recorded at the end, with its penalty.
      firstData: (elapsedMs: number) => {
        if (!failed || this.#config.failurePenaltyMs === 0) record(elapsedMs);
      },
      end: (outcome: AttemptOutcome) => record(isFailure(outcome) ? Math.max(outcome.durationMs, this.#config.failurePenaltyMs) : outcome.durationMs),
    };
  }

  #record(latency: Latency, ms: number): void {
    const now = this.#now();
    const kept = Math.exp((latency.at - now) / this.#config.decayMs);
    const decayed = latency.estimate * kept;
    latency.estimate = ms > decayed ? ms : decayed + ms * (1 - kept);
    latency.at = now;
  }
}

interface Latency {
  estimate: number;
  at: number;
  pending: number;
}

// UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
const failures = new Set([2, 4, 8, 13, 14, 15]);

function isFailure({ status, grpcStatus, failure }: Partial<AttemptOutcome>): boolean {
  if (failure !== undefined) return true;
  return grpcStatus === undefined ? status === 429 || (status !== undefined && status >= 500) : failures.has(grpcStatus);
}

function policy(name: string, schema: DescMessage, parse: (value: Uint8Array) => PeakEwmaConfig): LoadBalancerFactory<PeakEwmaConfig> {
  return {
    name,
    typeUrl: `type.googleapis.com/${schema.typeName}`,
    messages: [schema],
    parse,
    createTracker: (config, context) => new Latencies(config, context),
    create(_config, { random, now }, tracker) {
      const latencies = tracker as Latencies;
      return {
        update(hosts) {
          if (hosts.length < 2) return { pick: () => hosts[0] };
          const known = hosts.map((host) => latencies.of(host));
          return {
            pick() {
              const a = Math.floor(random() * hosts.length);
              let b = Math.floor(random() * (hosts.length - 1));
              if (b >= a) b++;
              const time = now();
              return hosts[latencies.cost(known[a] as Latency, time) <= latencies.cost(known[b] as Latency, time) ? a : b];
            },
          };
        },
      };
    },
  };
}

export const peakEwma = policy('weft.load_balancing_policies.peak_ewma', PeakEwmaSchema, (value) => {
  const { decayTime, defaultRtt, failurePenalty } = readMessage(PeakEwmaSchema, fields, value);
  return { decayMs: positiveMs(decayTime, 10_000, 'decay_time'), defaultRttMs: positiveMs(defaultRtt, 30, 'default_rtt'), failurePenaltyMs: positiveMs(failurePenalty, 0, 'failure_penalty') };
});

// Envoy's contrib policy of the same kind. How samples are buffered for its threads has no meaning in a process.
const envoyFields = (schema: typeof EnvoyPeakEwmaSchema | typeof EnvoyAlphaPeakEwmaSchema) => knownFields(schema, ['decay_time', 'default_rtt'], schema.fields.map(({ name }) => name).filter((name) => name !== 'decay_time' && name !== 'default_rtt'));

function envoy(schema: typeof EnvoyPeakEwmaSchema | typeof EnvoyAlphaPeakEwmaSchema, name: string) {
  const known = envoyFields(schema);
  return policy(name, schema, (value) => {
    const { decayTime, defaultRtt } = readMessage(schema as typeof EnvoyPeakEwmaSchema, known, value);
    return { decayMs: positiveMs(decayTime, 10_000, 'decay_time'), defaultRttMs: positiveMs(defaultRtt, 10, 'default_rtt'), failurePenaltyMs: 0 };
  });
}

export const envoyPeakEwma = envoy(EnvoyPeakEwmaSchema, 'envoy.load_balancing_policies.peak_ewma');
export const envoyAlphaPeakEwma = envoy(EnvoyAlphaPeakEwmaSchema, 'envoy.load_balancing_policies.peak_ewma.v3alpha');
