// envoy.filters.http.dynamic_forward_proxy: before the cluster is asked for a host, the name in the request is resolved.
import { fromBinary } from '@weft/xds-api/protobuf';
import { DynamicForwardProxyFilterConfigSchema, DynamicForwardProxyPerRouteConfigSchema } from '@weft/xds-api/cluster';
import type { DnsCacheConfig } from '../../resource/cluster-config.js';
import { decodeDnsCache } from '../../resource/dns-cache.js';
import { knownFields, Report } from '../../resource/report.js';
import type { LocalReply } from '../../stream/local-reply.js';
import { hostKeyOf, type CachedHost, type DnsCache } from '../../upstream/dns/dns-cache.js';
import type { FilterContext, FilterResult, HttpFilter, HttpFilterFactory, StreamFilter } from '../http-filter.js';

// The address goes into Envoy's filter state, which nothing here reads.
const fields = knownFields(DynamicForwardProxyFilterConfigSchema, ['dns_cache_config'], ['save_upstream_address']);
const routeFields = knownFields(DynamicForwardProxyPerRouteConfigSchema, ['host_rewrite_literal', 'host_rewrite_header']);

interface Config {
  readonly cache: DnsCacheConfig;
}

interface Override {
  readonly literal?: string;
  /** In lower case. */
  readonly header?: string;
}

const prefix = 'type.googleapis.com/envoy.extensions.filters.http.dynamic_forward_proxy.v3';

export const dynamicForwardProxyFilter: HttpFilterFactory<Config, Override> = {
  name: 'envoy.filters.http.dynamic_forward_proxy',
  typeUrls: [`${prefix}.FilterConfig`, `${prefix}.PerRouteConfig`],
  messages: [DynamicForwardProxyFilterConfigSchema, DynamicForwardProxyPerRouteConfigSchema],
  sides: ['client'],
  parse(_typeUrl, value) {
    const message = fromBinary(DynamicForwardProxyFilterConfigSchema, value);
    const report = new Report();
    report.check(fields, message, '');
    const { implementationSpecifier: specifier } = message;
    const cache = specifier.case === 'dnsCacheConfig' ? decodeDnsCache(specifier.value, 'dns_cache_config', report) : undefined;
    if (specifier.case !== 'dnsCacheConfig') report.add('dns_cache_config', 'is required');
    report.finish('FilterConfig');
    return { cache: cache as DnsCacheConfig };
  },
  parseOverride(_typeUrl, value) {
    const message = fromBinary(DynamicForwardProxyPerRouteConfigSchema, value);
    const report = new Report();
    report.check(routeFields, message, '');
    report.finish('PerRouteConfig');
    const { case: kind, value: text } = message.hostRewriteSpecifier;
    return kind === 'hostRewriteLiteral' ? { literal: text } : kind === 'hostRewriteHeader' ? { header: text.toLowerCase() } : {};
  },
  create: (context) => new DynamicForwardProxy(context),
};

class DynamicForwardProxy implements HttpFilter<Config, Override> {
  readonly #context: FilterContext;

  constructor(context: FilterContext) {
    this.#context = context;
  }

  forRoute({ cache: config }: Config, override: Override | undefined): (() => StreamFilter) | undefined {
    const caches = this.#context.dnsCaches;
    // Nothing is resolved where requests are only explained; the cluster has no hosts there.
    if (!caches) return undefined;
    const cache = caches.get(config);
    return () => stream(cache, override);
  }
}

function stream(cache: DnsCache, override: Override | undefined): StreamFilter {
  let stopWaiting: (() => void) | undefined;
  return {
    decodeHeaders(head, info): FilterResult {
      const use = cache.clusters.get(info.clusterName);
      // The route leads elsewhere.
      if (!use) return undefined;
      const rewritten = override?.literal ?? (override?.header === undefined ? undefined : head.headers.get(override.header));
      if (rewritten) head.authority = rewritten;
      const host = cache.get(hostKeyOf(head.authority, use.defaultPort));
      if (!host) return cacheOverflow;
      let settled: FilterResult;
      let resolve: ((reply: LocalReply | undefined) => void) | undefined;
      const stop = cache.wait(host, () => {
        settled = replyOf(host);
        resolve?.(settled);
      });
      if (stop === false) return pendingOverflow;
      if (stop === undefined) return settled;
      stopWaiting = stop;
      return new Promise((fulfil) => {
        resolve = fulfil;
      });
    },
    onComplete: () => stopWaiting?.(),
  };
}

function replyOf({ addresses, reason }: CachedHost): LocalReply | undefined {
  return addresses.length > 0 ? undefined : failure(reason);
}

/** Envoy's bodies and details. */
function failure(reason: string): LocalReply {
  return { status: 503, body: `DNS resolution failure: ${reason}`, flag: 'DF', details: 'dns_resolution_failure' };
}
const cacheOverflow: LocalReply = { status: 503, body: 'DNS cache overflow', flag: 'UO', details: 'dns_cache_overflow' };
const pendingOverflow: LocalReply = { status: 503, body: 'Dynamic forward proxy pending request overflow', flag: 'UO', details: 'dynamic_forward_proxy_pending_request_overflow' };
