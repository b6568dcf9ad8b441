// envoy.filters.http.bandwidth_limit: bodies of all requests together pass at a limited rate, requests and responses from one bucket.
import { typeUrl } from '@weft/xds-api';
import { fromBinary } from '@weft/xds-api/protobuf';
import { BandwidthLimitSchema, BandwidthLimit_EnableMode as Mode } from '@weft/xds-api/filter-body';
import { knownFields, Report } from '../../resource/report.js';
import { durationMs, featureFlag } from '../../resource/value.js';
import { ByteBucket, throttle, type Throttle } from '../body-throttle.js';
import type { BodyFilter, FilterContext, HttpFilter, HttpFilterFactory, StreamFilter } from '../http-filter.js';

interface BandwidthConfig {
  readonly request: boolean;
  readonly response: boolean;
  readonly bytesPerSecond: number;
  readonly intervalMs: number;
  readonly statPrefix: string;
  /** Undefined: none. */
  readonly trailerPrefix: string | undefined;
}

const fields = knownFields(BandwidthLimitSchema, ['stat_prefix', 'enable_mode', 'limit_kbps', 'fill_interval', 'runtime_enabled', 'enable_response_trailers', 'response_trailer_prefix']);

export const bandwidthLimit: HttpFilterFactory<BandwidthConfig> = {
  name: 'envoy.filters.http.bandwidth_limit',
  typeUrls: [typeUrl(BandwidthLimitSchema)],
  messages: [BandwidthLimitSchema],
  sides: ['client', 'server'],
  parse: (_typeUrl, value) => parse(value),
  parseOverride: (_typeUrl, value) => parse(value, true),
  create: (context) => new BandwidthFilter(context),
};

function parse(value: Uint8Array, perRoute = false): BandwidthConfig {
  const message = fromBinary(BandwidthLimitSchema, value);
  const report = new Report();
  report.check(fields, message, '');
  const { enableMode: mode, limitKbps } = message;
  if (message.statPrefix === '') report.add('stat_prefix', 'must not be empty');
  if (mode > Mode.REQUEST_AND_RESPONSE) report.add('enable_mode', `unknown value ${mode}`);
  if (limitKbps === 0n) report.add('limit_kbps', 'must be at least 1');
  if (limitKbps === undefined && (perRoute || mode !== Mode.DISABLED)) report.add('limit_kbps', 'is required');
  const intervalMs = durationMs(message.fillInterval, 'fill_interval', report) ?? 50;
  if (intervalMs < 20 || intervalMs > 1000) report.add('fill_interval', 'must be 0.02 s to 1 s');
  const enabled = featureFlag(message.runtimeEnabled, 'runtime_enabled', report);
  report.finish('BandwidthLimit');
  const { responseTrailerPrefix: prefix } = message;
  return {
    request: enabled && (mode === Mode.REQUEST || mode === Mode.REQUEST_AND_RESPONSE),
    response: enabled && (mode === Mode.RESPONSE || mode === Mode.REQUEST_AND_RESPONSE),
    bytesPerSecond: Number(limitKbps ?? 0n) * 1024,
    intervalMs,
    statPrefix: message.statPrefix,
    trailerPrefix: message.enableResponseTrailers ? (prefix === '' ? '' : `${prefix.toLowerCase()}-`) : undefined,
  };
}

class BandwidthFilter implements HttpFilter<BandwidthConfig> {
  readonly #context: FilterContext;
  /** Shared by all routes without a limit of their own. */
  readonly #buckets = new WeakMap<BandwidthConfig, ByteBucket>();

  constructor(context: FilterContext) {
    this.#context = context;
  }

  forRoute(config: BandwidthConfig, override: BandwidthConfig | undefined): (() => StreamFilter) | undefined {
    const effective = override ?? config;
    if (!effective.request && !effective.response) return undefined;
    let bucket = this.#buckets.get(effective);
    if (!bucket) this.#buckets.set(effective, (bucket = new ByteBucket(effective.bytesPerSecond, effective.bytesPerSecond, () => this.#context.now())));
    const limited = bucket;
    const enforced = (direction: string) => this.#context.stats?.counter({ name: `envoy_http_bandwidth_limit_${direction}_enforced`, help: `Bodies of ${direction}s that were held back`, labels: ['stat_prefix'] }).series(effective.statPrefix);
    const counters = { request: enforced('request'), response: enforced('response') };
    return () => this.#stream(effective, limited, (direction) => counters[direction]?.add());
  }

  #stream({ request, response, intervalMs, trailerPrefix }: BandwidthConfig, bucket: ByteBucket, count: (direction: 'request' | 'response') => void): StreamFilter {
    const { now } = this.#context;
    const sides: Partial<Record<'request' | 'response', Side>> = {};
    const limited = (direction: 'request' | 'response'): Side => (sides[direction] = new Side(throttle(bucket, intervalMs, this.#context), now));
    return {
      ...(request && { decodeBody: (): BodyFilter => ({ data: limited('request').data, end: () => sides.request!.end() }) }),
      ...((response || trailerPrefix !== undefined) && {
        encodeBody: (): BodyFilter => ({
          ...(response && { data: limited('response').data }),
          end(trailers) {
            sides.response?.end();
            if (trailerPrefix === undefined) return;
            for (const direction of ['request', 'response'] as const) {
              const side = sides[direction];
              if (!side?.throttle.held) continue;
              trailers.set(`${trailerPrefix}bandwidth-${direction}-delay-ms`, String(Math.round(side.tookMs)));
              trailers.set(`${trailerPrefix}bandwidth-${direction}-filter-delay-ms`, String(Math.round(side.throttle.heldMs)));
            }
          },
        }),
      }),
      onComplete() {
        for (const direction of ['request', 'response'] as const) {
          sides[direction]?.throttle.cancel();
          if (sides[direction]?.throttle.held) count(direction);
        }
      },
    };
  }
}

/** One direction of one request. */
class Side {
  readonly throttle: Throttle;
  readonly data: NonNullable<BodyFilter['data']>;
  readonly #now: () => number;
  readonly #since: number;
  tookMs = 0;

  constructor(limit: Throttle, now: () => number) {
    this.throttle = limit;
    this.data = (chunk, push) => limit.data!(chunk, push);
    this.#now = now;
    this.#since = now();
  }

  end(): void {
    this.tookMs = this.#now() - this.#since;
  }
}
