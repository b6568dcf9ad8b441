// DNS of clusters, and the caches of dynamic forward proxies.
import { Cluster_DnsLookupFamily as Family, Cluster_RefreshRateSchema, DnsCacheCircuitBreakersSchema, DnsCacheConfigSchema, type Cluster_RefreshRate, type DnsCacheConfig as DnsCacheMessage } from '@weft/xds-api/cluster';
import type { DnsCacheConfig, DnsConfig } from './cluster-config.js';
import { join, knownFields, type Report } from './report.js';
import { durationMs } from './value.js';

const rateFields = knownFields(Cluster_RefreshRateSchema, ['base_interval', 'max_interval']);
const cacheFields = knownFields(DnsCacheConfigSchema, ['name', 'dns_lookup_family', 'dns_refresh_rate', 'dns_min_refresh_rate', 'host_ttl', 'max_hosts', 'dns_failure_refresh_rate', 'dns_cache_circuit_breaker', 'preresolve_hostnames', 'dns_query_timeout'], ['use_tcp_for_dns_lookups']);
const breakerFields = knownFields(DnsCacheCircuitBreakersSchema, ['max_pending_requests']);

const families: Readonly<Record<number, DnsConfig['family']>> = { [Family.AUTO]: 'auto', [Family.V4_ONLY]: 'v4-only', [Family.V6_ONLY]: 'v6-only', [Family.V4_PREFERRED]: 'v4-preferred', [Family.ALL]: 'all' };

export function decodeFamily(family: Family, path: string, report: Report): DnsConfig['family'] {
  const known = families[family];
  if (!known) report.add(path, `unknown value ${family}`);
  return known ?? 'auto';
}

/** How often a name is asked for after it could not be resolved. */
export function decodeFailureRefresh(rate: Cluster_RefreshRate | undefined, path: string, report: Report): Pick<DnsConfig, 'failureRefresh'> {
  if (!rate) return {};
  report.check(rateFields, rate, path);
  const baseMs = durationMs(rate.baseInterval, join(path, 'base_interval'), report, { positive: true });
  const maxMs = durationMs(rate.maxInterval, join(path, 'max_interval'), report, { positive: true });
  if (baseMs === undefined) {
    report.add(join(path, 'base_interval'), 'is required');
    return {};
  }
  if (maxMs !== undefined && maxMs < baseMs) report.add(join(path, 'max_interval'), 'must not be below base_interval');
  return { failureRefresh: { baseMs, maxMs: maxMs ?? 10 * baseMs } };
}

export function decodeDnsCache(message: DnsCacheMessage, path: string, report: Report): DnsCacheConfig {
  report.check(cacheFields, message, path);
  const ms = (value: DnsCacheMessage['hostTtl'], name: string, otherwise: number) => durationMs(value, join(path, name), report, { positive: true }) ?? otherwise;
  if (message.name === '') report.add(join(path, 'name'), 'must not be empty');
  if (message.maxHosts === 0) report.add(join(path, 'max_hosts'), 'must be 1 or more');
  const breaker = message.dnsCacheCircuitBreaker;
  if (breaker) report.check(breakerFields, breaker, join(path, 'dns_cache_circuit_breaker'));
  const preresolve = message.preresolveHostnames.map(({ address, portSpecifier }, i) => {
    if (portSpecifier.case !== 'portValue') report.add(`${join(path, 'preresolve_hostnames')}[${i}].port_value`, 'is required');
    return { host: address, port: portSpecifier.case === 'portValue' ? portSpecifier.value : 0 };
  });
  return {
    name: message.name,
    dns: {
      family: decodeFamily(message.dnsLookupFamily, join(path, 'dns_lookup_family'), report),
      respectTtl: false,
      refreshMs: Math.max(ms(message.dnsRefreshRate, 'dns_refresh_rate', 60_000), ms(message.dnsMinRefreshRate, 'dns_min_refresh_rate', 5000)),
      ...decodeFailureRefresh(message.dnsFailureRefreshRate, join(path, 'dns_failure_refresh_rate'), report),
    },
    hostTtlMs: ms(message.hostTtl, 'host_ttl', 300_000),
    maxHosts: message.maxHosts ?? 1024,
    maxPending: breaker?.maxPendingRequests ?? 1024,
    queryTimeoutMs: ms(message.dnsQueryTimeout, 'dns_query_timeout', 5000),
    preresolve,
  };
}
