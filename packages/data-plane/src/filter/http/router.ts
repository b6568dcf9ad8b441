import { fromBinary } from '@weft/xds-api/protobuf';
import { RouterSchema } from '@weft/xds-api/http';
import { knownFields, Report } from '../../resource/report.js';
import type { HttpFilterFactory } from '../http-filter.js';

/** What the engine of outbound requests, which is the router, reads of it. */
export interface RouterConfig {
  /** Nothing of our own is added to requests and answers: x-envoy-expected-rq-timeout-ms, x-envoy-overloaded. */
  readonly suppressEnvoyHeaders: boolean;
  /** x-envoy-expected-rq-timeout-ms of the request is its timeout. */
  readonly respectExpectedTimeout: boolean;
  /** Control headers whose values must make sense; else 400. */
  readonly strictCheckHeaders: readonly string[];
}

const strictHeaders = new Set(['x-envoy-upstream-rq-timeout-ms', 'x-envoy-upstream-rq-per-try-timeout-ms', 'x-envoy-max-retries', 'x-envoy-retry-grpc-on', 'x-envoy-retry-on']);
const fields = knownFields(
  RouterSchema,
  ['suppress_envoy_headers', 'respect_expected_rq_timeout', 'strict_check_headers'],
  // Statistics, spans and logs of a proxy; the mesh has its own.
  ['dynamic_stats', 'start_child_span', 'upstream_log', 'upstream_log_options', 'suppress_grpc_request_failure_code_stats', 'reject_connect_request_early_data'],
);

/** The terminal filter: stands for forwarding (clients) or the handler (servers), which the engines do themselves. */
export const router: HttpFilterFactory<RouterConfig, void> = {
  name: 'envoy.filters.http.router',
  typeUrls: ['type.googleapis.com/envoy.extensions.filters.http.router.v3.Router'],
  messages: [RouterSchema],
  sides: ['client', 'server'],
  terminal: true,
  parse(_typeUrl, value) {
    const message = fromBinary(RouterSchema, value);
    const report = new Report();
    report.check(fields, message, '');
    for (const name of message.strictCheckHeaders) if (!strictHeaders.has(name.toLowerCase())) report.add('strict_check_headers', `${JSON.stringify(name)} is not one of ${[...strictHeaders].join(', ')}`);
    report.finish('Router');
    return { suppressEnvoyHeaders: message.suppressEnvoyHeaders, respectExpectedTimeout: message.respectExpectedRqTimeout, strictCheckHeaders: message.strictCheckHeaders.map((name) => name.toLowerCase()) };
  },
  create: () => ({ forRoute: () => undefined }),
};
