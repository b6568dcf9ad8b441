// envoy.filters.http.adaptive_concurrency: as many requests at a time as do not make each other slow.
import { fromBinary } from '@weft/xds-api/protobuf';
import {
  AdaptiveConcurrencySchema, GradientControllerConfig_ConcurrencyLimitCalculationParamsSchema as LimitSchema, GradientControllerConfig_MinimumRTTCalculationParamsSchema as MinRttSchema, GradientControllerConfigSchema,
} from '@weft/xds-api/filter-overload';
import { knownFields, Report } from '../../resource/report.js';
import { durationMs } from '../../resource/value.js';
import type { LocalReply } from '../../stream/local-reply.js';
import { GradientController, type GradientOptions } from '../concurrency/gradient-controller.js';
import { LimitedRequest } from '../concurrency/limited-request.js';
import type { FilterContext, HttpFilter, HttpFilterFactory, StreamFilter } from '../http-filter.js';

interface AdaptiveConcurrencyConfig {
  readonly enabled: boolean;
  readonly status: number;
  readonly controller: GradientOptions;
}

const fields = knownFields(AdaptiveConcurrencySchema, ['gradient_controller_config', 'enabled', 'concurrency_limit_exceeded_status']);
const controllerFields = knownFields(GradientControllerConfigSchema, ['sample_aggregate_percentile', 'concurrency_limit_params', 'min_rtt_calc_params']);
const limitFields = knownFields(LimitSchema, ['max_concurrency_limit', 'concurrency_update_interval']);
const minRttFields = knownFields(MinRttSchema, ['interval', 'request_count', 'jitter', 'min_concurrency', 'buffer']);

export const adaptiveConcurrency: HttpFilterFactory<AdaptiveConcurrencyConfig> = {
  name: 'envoy.filters.http.adaptive_concurrency',
  typeUrls: ['type.googleapis.com/envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency'],
  messages: [AdaptiveConcurrencySchema],
  sides: ['client', 'server'],
  parse: (_typeUrl, value) => parse(value),
  create: (context) => new AdaptiveConcurrencyFilter(context),
};

function parse(value: Uint8Array): AdaptiveConcurrencyConfig {
  const message = fromBinary(AdaptiveConcurrencySchema, value);
  const report = new Report();
  report.check(fields, message, '');
  const controller = message.concurrencyControllerConfig.case === 'gradientControllerConfig' ? message.concurrencyControllerConfig.value : undefined;
  if (!controller) report.add('gradient_controller_config', 'is required');
  else report.check(controllerFields, controller, 'gradient_controller_config');
  const at = (name: string) => `gradient_controller_config.${name}`;
  const limit = controller?.concurrencyLimitParams;
  const minRtt = controller?.minRttCalcParams;
  if (limit) report.check(limitFields, limit, at('concurrency_limit_params'));
  if (minRtt) report.check(minRttFields, minRtt, at('min_rtt_calc_params'));
  const required = (duration: Parameters<typeof durationMs>[0], path: string) => {
    if (!duration) report.add(path, 'is required');
    return durationMs(duration, path, report, { positive: true }) ?? 1;
  };
  const positive = (number: number | undefined, fallback: number, path: string) => {
    if (number === 0) report.add(path, 'must be greater than 0');
    return number ?? fallback;
  };
  const options: GradientOptions = {
    percentile: (controller?.sampleAggregatePercentile?.value ?? 50) / 100,
    maxLimit: positive(limit?.maxConcurrencyLimit, 1000, at('concurrency_limit_params.max_concurrency_limit')),
    updateIntervalMs: required(limit?.concurrencyUpdateInterval, at('concurrency_limit_params.concurrency_update_interval')),
    minRttIntervalMs: required(minRtt?.interval, at('min_rtt_calc_params.interval')),
    minRttRequests: positive(minRtt?.requestCount, 50, at('min_rtt_calc_params.request_count')),
    minRttJitter: (minRtt?.jitter?.value ?? 15) / 100,
    minLimit: positive(minRtt?.minConcurrency, 3, at('min_rtt_calc_params.min_concurrency')),
    buffer: (minRtt?.buffer?.value ?? 25) / 100,
  };
  report.finish('AdaptiveConcurrency');
  const status = message.concurrencyLimitExceededStatus?.code ?? 0;
  // Envoy: what is no error is not taken for one.
  return { enabled: message.enabled?.defaultValue ?? true, status: status >= 400 ? status : 503, controller: options };
}

class AdaptiveConcurrencyFilter implements HttpFilter<AdaptiveConcurrencyConfig> {
  readonly #context: FilterContext;
  #controller: GradientController | undefined;
  #config: AdaptiveConcurrencyConfig | undefined;

  constructor(context: FilterContext) {
    this.#context = context;
  }

  forRoute(config: AdaptiveConcurrencyConfig): (() => StreamFilter) | undefined {
    if (!config.enabled) return undefined;
    if (this.#config === undefined || JSON.stringify(this.#config.controller) !== JSON.stringify(config.controller)) {
      this.#controller?.close();
      this.#controller = new GradientController(config.controller, { now: () => performance.now(), setTimeout: (run, ms) => this.#context.setTimeout(run, ms), random: () => this.#context.random() });
    }
    this.#config = config;
    const controller = this.#controller as GradientController;
    const refusal: LocalReply = { status: config.status, body: 'reached concurrency limit', details: 'reached_concurrency_limit' };
    return () => new LimitedRequest(refusal, () => controller);
  }

  close(): void {
    this.#controller?.close();
  }
}
