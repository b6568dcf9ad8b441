// weft.filters.http.error_rate_breaker: opossum's breaker for clusters and routes, by what requests came to, retries included.
import { fromBinary } from '@weft/xds-api/protobuf';
import { ErrorRateBreaker_Scope as Scope, ErrorRateBreakerSchema } from '@weft/xds-api/filter-overload';
import { knownFields, Report } from '../../resource/report.js';
import { durationMs } from '../../resource/value.js';
import type { LocalReply } from '../../stream/local-reply.js';
import type { ErrorRateBreakerOptions } from '../concurrency/breaker-options.js';
import { BreakersByKey } from '../concurrency/breakers-by-key.js';
import { ErrorRate } from '../concurrency/error-rate.js';
import { failed } from '../concurrency/outcome.js';
import type { FilterContext, HttpFilter, HttpFilterFactory, StreamFilter } from '../http-filter.js';

const fields = knownFields(ErrorRateBreakerSchema, ['error_threshold_percent', 'volume_threshold', 'rolling_window', 'reset_timeout', 'scope']);

export const errorRateBreaker: HttpFilterFactory<ErrorRateBreakerOptions> = {
  name: 'weft.filters.http.error_rate_breaker',
  typeUrls: ['type.googleapis.com/weft.filters.http.v1.ErrorRateBreaker'],
  messages: [ErrorRateBreakerSchema],
  sides: ['client'],
  parse(_typeUrl, value) {
    const message = fromBinary(ErrorRateBreakerSchema, value);
    const report = new Report();
    report.check(fields, message, '');
    const { errorThresholdPercent = 50, volumeThreshold = 20 } = message;
    if (!(errorThresholdPercent >= 0 && errorThresholdPercent <= 100)) report.add('error_threshold_percent', `must be 0 to 100, is ${errorThresholdPercent}`);
    if (message.scope !== Scope.CLUSTER && message.scope !== Scope.ROUTE) report.add('scope', `unknown value ${message.scope as number}`);
    const rollingWindowMs = durationMs(message.rollingWindow, 'rolling_window', report, { positive: true }) ?? 10_000;
    const resetTimeoutMs = durationMs(message.resetTimeout, 'reset_timeout', report, { positive: true }) ?? 30_000;
    report.finish('ErrorRateBreaker');
    return { errorThresholdPercent, volumeThreshold, rollingWindowMs, resetTimeoutMs, scope: message.scope === Scope.ROUTE ? 'route' : 'cluster' };
  },
  create: (context) => new ErrorRateBreakerFilter(context),
};

const refusal: LocalReply = { status: 503, body: 'error-rate breaker is open', headers: [['x-envoy-overloaded', 'true']], flag: 'UO', details: 'error_rate_breaker_open' };

class ErrorRateBreakerFilter implements HttpFilter<ErrorRateBreakerOptions> {
  readonly #context: FilterContext;
  readonly #breakers: BreakersByKey<ErrorRate>;

  constructor(context: FilterContext) {
    this.#context = context;
    this.#breakers = new BreakersByKey((key) => this.#make(key), (breaker) => breaker.close());
  }

  forRoute(config: ErrorRateBreakerOptions, override: ErrorRateBreakerOptions | undefined): () => StreamFilter {
    const effective = override ?? config;
    const settings = JSON.stringify(effective);
    const byRoute = effective.scope === 'route';
    return () => {
      let end: ((failed: boolean | undefined) => void) | undefined;
      return {
        decodeHeaders: (_head, { clusterName, routeName }) => {
          end = this.#breakers.get(`${clusterName}\n${byRoute ? routeName : ''}\n${settings}`).begin();
          return end ? undefined : refusal;
        },
        onComplete: (info) => end?.(failed(info)),
      };
    };
  }

  close(): void {
    this.#breakers.close();
  }

  #make(key: string): ErrorRate {
    const [cluster = '', route = '', settings = '{}'] = key.split('\n');
    const family = this.#context.stats?.gauge({ name: 'weft_error_rate_breaker_open', help: 'Whether the error-rate breaker of a cluster (and route) lets nothing through: 0, 1', labels: ['cluster', 'route'] });
    const open = family?.series(cluster, route);
    return new ErrorRate(JSON.parse(settings) as ErrorRateBreakerOptions, {
      setTimeout: (run, ms) => this.#context.setTimeout(run, ms),
      onState: (state) => open?.set(state === 'close' ? 0 : 1),
    });
  }
}
