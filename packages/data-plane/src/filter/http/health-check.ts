// envoy.filters.http.health_check: answers health checks itself, or lets them through and remembers the answer for a while.
import { fromBinary } from '@weft/xds-api/protobuf';
import { typeUrl } from '@weft/xds-api';
import { HealthCheckSchema } from '@weft/xds-api/filter-headers';
import { decodeHeaderMatcher } from '../../resource/matcher.js';
import { knownFields, Report } from '../../resource/report.js';
import { durationMs } from '../../resource/value.js';
import { compileHeaderMatcher, type HeaderMatcher } from '../../route/header-matcher.js';
import type { LocalReply } from '../../stream/local-reply.js';
import type { FilterContext, HttpFilter, HttpFilterFactory, StreamFilter } from '../http-filter.js';

export interface HealthCheckConfig {
  /** All must match; none: every request is a health check, as in Envoy. */
  headers: readonly HeaderMatcher[];
  passThrough: boolean;
  cacheMs: number;
  /** The service counts as well only while so much of each of these clusters is. */
  clusters: readonly { name: string; minHealthyPercent: number }[];
}

const fields = knownFields(HealthCheckSchema, ['pass_through_mode', 'cache_time', 'cluster_min_healthy_percentages', 'headers']);

export const healthCheck: HttpFilterFactory<HealthCheckConfig> = {
  name: 'envoy.filters.http.health_check',
  typeUrls: [typeUrl(HealthCheckSchema)],
  messages: [HealthCheckSchema],
  sides: ['client', 'server'],
  parse(_typeUrl, value) {
    const message = fromBinary(HealthCheckSchema, value);
    const report = new Report();
    report.check(fields, message, '');
    if (message.passThroughMode === undefined) report.add('pass_through_mode', 'is required');
    const cacheMs = durationMs(message.cacheTime, 'cache_time', report) ?? 0;
    if (cacheMs > 0 && !message.passThroughMode) report.add('cache_time', 'needs pass_through_mode');
    const clusters = Object.entries(message.clusterMinHealthyPercentages).map(([name, { value }]) => ({ name, minHealthyPercent: value }));
    if (message.passThroughMode && clusters.length > 0) report.add('cluster_min_healthy_percentages', 'does not go with pass_through_mode');
    for (const { name, minHealthyPercent } of clusters) if (!(minHealthyPercent >= 0 && minHealthyPercent <= 100)) report.add(`cluster_min_healthy_percentages[${JSON.stringify(name)}]`, 'must be 0 to 100');
    const headers = message.headers.map((matcher, i) => decodeHeaderMatcher(matcher, `headers[${i}]`, report));
    report.finish('HealthCheck');
    return { headers: headers.map(compileHeaderMatcher), passThrough: message.passThroughMode ?? false, cacheMs, clusters };
  },
  parseOverride() {
    throw new Error('the health check filter takes no configuration in a route');
  },
  clusters: ({ clusters }) => clusters.map(({ name }) => name),
  create: (context) => new HealthCheckFilter(context),
};

const ok: LocalReply = { status: 200, body: '', details: 'health_check_ok' };

const failed = (why: string): LocalReply => ({ status: 503, body: '', details: `health_check_failed_${why}` });

class HealthCheckFilter implements HttpFilter<HealthCheckConfig> {
  readonly #context: FilterContext;
  readonly #start: number;
  /** The answer of the application in one period of `cache_time`. */
  #cached: { period: number; status: number; degraded: boolean } | undefined;

  constructor(context: FilterContext) {
    this.#context = context;
    this.#start = context.now();
  }

  forRoute({ headers, passThrough, cacheMs, clusters }: HealthCheckConfig): () => StreamFilter {
    const cluster = this.#context.localCluster ?? '';
    return () => {
      let isCheck = false;
      return {
        decodeHeaders: (head) => {
          isCheck = headers.every((matches) => matches(head));
          if (!isCheck) return undefined;
          if (!passThrough) return clusters.length === 0 ? ok : this.#fromClusters(clusters);
          return cacheMs > 0 ? this.#fromCache(cacheMs) : undefined;
        },
        encodeHeaders: (response, info) => {
          if (!isCheck) return;
          if (cacheMs > 0 && !info.localReply) this.#cached = { period: this.#period(cacheMs), status: response.status, degraded: response.headers.has('x-envoy-degraded') };
          response.headers.set('x-envoy-upstream-healthchecked-cluster', cluster);
        },
      };
    };
  }

  #fromClusters(clusters: HealthCheckConfig['clusters']): LocalReply {
    for (const { name, minHealthyPercent } of clusters) {
      const members = this.#context.clusters?.membership(name);
      if (!members) return failed('cluster_not_found');
      if (members.total === 0 && minHealthyPercent > 0) return failed('cluster_empty');
      if (members.healthy < (members.total * minHealthyPercent) / 100) return failed('cluster_unhealthy');
    }
    return { status: 200, body: '', details: 'health_check_ok_cluster_healthy' };
  }

  #fromCache(cacheMs: number): LocalReply | undefined {
    const cached = this.#cached;
    if (!cached || cached.period !== this.#period(cacheMs)) return undefined;
    return { status: cached.status, body: '', details: 'health_check_cached', ...(cached.degraded && { headers: [['x-envoy-degraded', '']] }) };
  }

  /** As Envoy's timer: what was cached is forgotten at fixed times, however new it is. */
  #period(cacheMs: number): number {
    return Math.floor((this.#context.now() - this.#start) / cacheMs);
  }
}
