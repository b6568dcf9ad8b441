// envoy.filters.http.grpc_stats: counts calls by status, and messages, per method where it is told to.
import { typeUrl } from '@weft/xds-api';
import { fromBinary } from '@weft/xds-api/protobuf';
import { GrpcMethodListSchema, GrpcMethodList_ServiceSchema, GrpcStatsSchema } from '@weft/xds-api/filter-body';
import { knownFields, Report } from '../../resource/report.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import { GrpcFrames } from '../grpc-frames.js';
import type { BodyFilter, FilterContext, HttpFilter, HttpFilterFactory, StreamFilter } from '../http-filter.js';

interface GrpcStatsConfig {
  /** Methods that have counters of their own; the others share those without a name. */
  hasOwn(service: string, method: string): boolean;
  readonly upstreamTime: boolean;
  readonly replaceDots: boolean;
}

// Filter state is read by nothing in Weft.
const fields = knownFields(GrpcStatsSchema, ['individual_method_stats_allowlist', 'stats_for_all_methods', 'enable_upstream_stats', 'replace_dots_in_grpc_service_name'], ['emit_filter_state']);
const listFields = knownFields(GrpcMethodListSchema, ['services']);
const serviceFields = knownFields(GrpcMethodList_ServiceSchema, ['name', 'method_names']);

export const grpcStats: HttpFilterFactory<GrpcStatsConfig> = {
  name: 'envoy.filters.http.grpc_stats',
  typeUrls: [typeUrl(GrpcStatsSchema)],
  messages: [GrpcStatsSchema],
  sides: ['client', 'server'],
  parse(_typeUrl, value) {
    const message = fromBinary(GrpcStatsSchema, value);
    const report = new Report();
    report.check(fields, message, '');
    const { perMethodStatSpecifier: specifier } = message;
    const allowed = new Set<string>();
    if (specifier.case === 'individualMethodStatsAllowlist') {
      const path = 'individual_method_stats_allowlist';
      report.check(listFields, specifier.value, path);
      specifier.value.services.forEach((service, i) => {
        report.check(serviceFields, service, `${path}.services[${i}]`);
        if (service.name === '') report.add(`${path}.services[${i}].name`, 'must not be empty');
        if (service.methodNames.length === 0) report.add(`${path}.services[${i}].method_names`, 'must not be empty');
        for (const method of service.methodNames) allowed.add(`${service.name}/${method}`);
      });
    }
    report.finish('FilterConfig');
    const all = specifier.case === 'statsForAllMethods' && specifier.value.value;
    return { hasOwn: (service, method) => all || allowed.has(`${service}/${method}`), upstreamTime: message.enableUpstreamStats, replaceDots: message.replaceDotsInGrpcServiceName };
  },
  create: (context) => new GrpcStatsFilter(context),
};

// Upper bounds as of Envoy's histograms, ms.
const timeBuckets = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];
const labels = ['envoy_cluster_name', 'envoy_grpc_bridge_service', 'envoy_grpc_bridge_method'];

class GrpcStatsFilter implements HttpFilter<GrpcStatsConfig> {
  readonly #context: FilterContext;

  constructor(context: FilterContext) {
    this.#context = context;
  }

  forRoute(config: GrpcStatsConfig): (() => StreamFilter) | undefined {
    const { stats } = this.#context;
    if (!stats) return undefined;
    const counter = (name: string, help: string) => stats.counter({ name: `envoy_cluster_grpc_${name}`, help, labels, overflowKeeps: ['envoy_cluster_name'] });
    const families = {
      total: counter('total', 'gRPC calls'), success: counter('success', 'gRPC calls with status 0'), failure: counter('failure', 'gRPC calls with another status'),
      requests: counter('request_message_count', 'Messages of gRPC requests'), responses: counter('response_message_count', 'Messages of gRPC responses'),
    };
    const status = (code: number) => counter(String(code), `gRPC calls with status ${code}`);
    const time = config.upstreamTime ? stats.histogram({ name: 'envoy_cluster_grpc_upstream_rq_time', help: 'Time of gRPC calls, ms', labels, buckets: timeBuckets, overflowKeeps: ['envoy_cluster_name'] }) : undefined;
    return () => {
      let path: string | undefined;
      const counts = { request: 0, response: 0 };
      const counting = (direction: 'request' | 'response'): BodyFilter | undefined => {
        if (path === undefined) return undefined;
        const frames = new GrpcFrames();
        return { data: (chunk) => ((counts[direction] += frames.begun(chunk)), chunk) };
      };
      return {
        decodeHeaders(head) {
          if (head.protocol === 'grpc' || /^application\/grpc(\+|;|$)/.test(head.headers.get('content-type') ?? '')) path = head.path;
          return undefined;
        },
        decodeBody: () => counting('request'),
        encodeBody: () => counting('response'),
        onComplete(info) {
          if (path === undefined) return;
          const names = [info.clusterName, ...methodOf(path, config)];
          families.requests.series(...names).add(counts.request);
          families.responses.series(...names).add(counts.response);
          const code = statusOf(info);
          if (code === undefined) return;
          families.total.series(...names).add();
          (code === 0 ? families.success : families.failure).series(...names).add();
          status(code).series(...names).add();
          time?.series(...names).observe(performance.now() - info.startTime);
        },
      };
    };
  }
}

function methodOf(path: string, { hasOwn, replaceDots }: GrpcStatsConfig): [string, string] {
  const [, service = '', method = ''] = /^\/([^/?]+)\/([^/?]+)$/.exec(path) ?? [];
  if (service === '' || !hasOwn(service, method)) return ['', ''];
  return [replaceDots ? service.replaceAll('.', '_') : service, method];
}

/** None where the caller went away before there was one. */
function statusOf({ grpcStatus }: StreamInfo): number | undefined {
  return grpcStatus !== undefined && Number.isInteger(grpcStatus) && grpcStatus >= 0 && grpcStatus <= 16 ? grpcStatus : undefined;
}
