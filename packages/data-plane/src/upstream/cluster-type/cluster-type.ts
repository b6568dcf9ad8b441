// Where a cluster's endpoints come from: one file a type, one line in builtin.ts.
import type { Clock } from '@weft/spiffe';
import type { ClusterConfig, EndpointsConfig } from '../../resource/cluster-config.js';
import type { EndpointPolicy } from '../../resource/endpoint-policy.js';
import type { Logger } from '../../telemetry/logger.js';
import type { ResourceType } from '../../xds/resource-type.js';
import type { XdsClient } from '../../xds/xds-client.js';
import type { DnsCaches } from '../dns/dns-cache.js';
import type { Lookup } from '../dns/resolver.js';

export interface EndpointSink {
  /** The whole new state; an empty one means: known to have none. */
  onEndpoints(endpoints: EndpointsConfig): void;
  /** Nothing new is known; the last good state stays. */
  onError(error: Error): void;
}

export interface ClusterTypeContext {
  xds: XdsClient;
  endpointType: ResourceType<EndpointsConfig>;
  clock: Clock;
  logger: Logger;
  random(): number;
  lookup: Lookup;
  /** Judges each address that a name resolved to. */
  policy: EndpointPolicy;
  dnsCaches: DnsCaches | undefined;
}

export interface ClusterType {
  readonly kinds: readonly ClusterConfig['type']['kind'][];
  start(config: ClusterConfig, sink: EndpointSink, context: ClusterTypeContext): { close(): void };
}

export function noEndpoints(config: ClusterConfig): EndpointsConfig {
  return { clusterName: config.name, localities: [], drops: [], overprovisioningFactor: config.overprovisioningFactor };
}
