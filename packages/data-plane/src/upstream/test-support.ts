// Short forms of configurations for tests.
import { FakeClock } from '@weft/spiffe/testing';
import { builtinLoadBalancers, legacyLoadBalancing } from '../load-balancing/builtin.js';
import type { ClusterConfig, EndpointConfig, EndpointsConfig, HealthCheckConfig, LocalityEndpointsConfig, ThresholdsConfig } from '../resource/cluster-config.js';
import type { Logger } from '../telemetry/logger.js';
import type { ResourceType } from '../xds/resource-type.js';
import type { ResourceWatcher, XdsClient } from '../xds/xds-client.js';
import { Cluster, type ClusterContext } from './cluster.js';
import { Host, type HostCluster } from './host.js';
import { hostKey } from './host-set.js';

export const silent: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

export function endpoint(address: string, more: Partial<EndpointConfig> = {}): EndpointConfig {
  return { address, port: 80, hostname: '', weight: 1, health: 'healthy', metadata: {}, identityMissing: false, ...more };
}

/** Of hosts that are looked at by themselves. */
export const noCluster = { name: 'c' } as HostCluster;

export function host(address: string, more: Partial<EndpointConfig> = {}): Host {
  const config = endpoint(address, more);
  return new Host(noCluster, hostKey(config), config);
}

export function locality(endpoints: readonly (string | EndpointConfig)[], more: Partial<LocalityEndpointsConfig> = {}): LocalityEndpointsConfig {
  return { region: '', zone: '', subZone: '', weight: 1, priority: 0, endpoints: endpoints.map((item) => (typeof item === 'string' ? endpoint(item) : item)), ...more };
}

export function endpoints(localities: readonly (LocalityEndpointsConfig | readonly string[])[], more: Partial<EndpointsConfig> = {}): EndpointsConfig {
  return { clusterName: 'c', localities: localities.map((item) => ('endpoints' in item ? item : locality(item))), drops: [], overprovisioningFactor: 140, ...more };
}

const thresholds: ThresholdsConfig = { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 };

export function clusterConfig(more: Partial<ClusterConfig> = {}): ClusterConfig {
  return {
    name: 'c', type: { kind: 'eds', serviceName: '' }, connectTimeoutMs: 5000, loadBalancing: legacyLoadBalancing('ROUND_ROBIN'), thresholds: { default: thresholds, high: thresholds },
    idleTimeoutMs: 3_600_000, protocol: 'http1', transportSockets: [{ name: '', match: {} }], healthyPanicThreshold: 50, overprovisioningFactor: 140, localityWeighted: false,
    closeConnectionsOnHostHealthFailure: false, metadata: {}, ...more,
  };
}

const noHeaders = { add: [], remove: [] };

export function healthCheck(more: Partial<HealthCheckConfig> = {}): HealthCheckConfig {
  return {
    check: { kind: 'http', path: '/health', host: '', method: 'GET', http2: false, headers: noHeaders, expected: [{ start: 200, end: 201 }], retriable: [], receive: [], bufferSize: 1024 },
    timeoutMs: 1000, intervalMs: 5000, noTrafficIntervalMs: 60_000, noTrafficHealthyIntervalMs: 60_000, unhealthyIntervalMs: 5000, unhealthyEdgeIntervalMs: 5000, healthyEdgeIntervalMs: 5000,
    initialJitterMs: 0, intervalJitterMs: 0, intervalJitterPercent: 0, unhealthyThreshold: 2, healthyThreshold: 2, reuseConnection: true, logFailures: false, logSuccesses: false, alpn: [], ...more,
  };
}

export function limits(more: Partial<ThresholdsConfig>): ClusterConfig['thresholds'] {
  return { default: { ...thresholds, ...more }, high: thresholds };
}

export function clusterContext(more: Partial<ClusterContext> = {}): ClusterContext & { clock: FakeClock } {
  return { random: () => 0, logger: silent, clock: new FakeClock(0), loadBalancers: builtinLoadBalancers, ...more } as ClusterContext & { clock: FakeClock };
}

export function cluster(config: Partial<ClusterConfig>, of: EndpointsConfig, context: ClusterContext = clusterContext()): Cluster {
  const made = new Cluster(clusterConfig(config), context);
  made.setEndpoints(of);
  return made;
}

/** Answers like an xDS client whose control plane is the test. */
export class FakeXds implements XdsClient {
  readonly watchers = new Map<string, ResourceWatcher<never>>();

  watch<T>(type: ResourceType<T>, name: string, watcher: ResourceWatcher<T>) {
    const key = `${type.name}/${name}`;
    this.watchers.set(key, watcher as ResourceWatcher<never>);
    return { close: () => void this.watchers.delete(key) };
  }

  send(key: string, resource: unknown): void {
    this.watcher(key).onResource(resource as never);
  }

  watcher(key: string): ResourceWatcher<never> {
    const found = this.watchers.get(key);
    if (!found) throw new Error(`nobody watches ${key}`);
    return found;
  }

  status() {
    return { servers: [], resources: [] };
  }

  close(): void {
    this.watchers.clear();
  }
}

export function resourceType<T>(name: string): ResourceType<T> {
  return { typeUrl: `type/${name}`, name, fullState: false, decode: () => { throw new Error('not decoded here'); } };
}
