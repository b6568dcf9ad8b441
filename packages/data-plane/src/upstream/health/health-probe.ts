// How a host is asked whether it is well; transport/ knows how. upstream/health/health-checker.ts decides when, and what follows.
import type { HealthCheckConfig } from '../../resource/cluster-config.js';
import type { Host } from '../host.js';

export type ProbeResult =
  | { readonly healthy: true; readonly degraded: boolean }
  /** `network`: it could not be asked. `retriable`: its answer counts towards the threshold only, as trouble of the network does. */
  | { readonly healthy: false; readonly network: boolean; readonly retriable: boolean; readonly reason: string };

/** One host's. Keeps its connection where the configuration says so. */
export interface HealthProbe {
  /** Asks once. `done` is called once, not before this returns. @returns gives the question up; `done` is then not called. */
  run(done: (result: ProbeResult) => void): () => void;
  close(): void;
}

export interface HealthProber {
  probe(config: HealthCheckConfig, host: Host): HealthProbe;
}
