// envoy.filters.http.admission_control: refuses by chance, the more the worse the success rate of the last seconds is.
import { fromBinary } from '@weft/xds-api/protobuf';
import {
  AdmissionControl_SuccessCriteria_GrpcCriteriaSchema as GrpcCriteriaSchema, AdmissionControl_SuccessCriteria_HttpCriteriaSchema as HttpCriteriaSchema,
  AdmissionControl_SuccessCriteriaSchema as CriteriaSchema, AdmissionControlSchema, type AdmissionControl,
} from '@weft/xds-api/filter-overload';
import { knownFields, Report } from '../../resource/report.js';
import { durationMs } from '../../resource/value.js';
import type { LocalReply } from '../../stream/local-reply.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import { isServerFault } from '../concurrency/outcome.js';
import { SuccessWindow } from '../concurrency/success-window.js';
import type { FilterContext, HttpFilter, HttpFilterFactory, StreamFilter } from '../http-filter.js';

interface AdmissionControlConfig {
  readonly enabled: boolean;
  readonly windowSeconds: number;
  /** 1 or more. */
  readonly aggression: number;
  /** 0 to 1. */
  readonly threshold: number;
  /** Requests a second. */
  readonly rpsThreshold: number;
  readonly maxRejection: number;
  isSuccess(info: StreamInfo): boolean;
}

const fields = knownFields(AdmissionControlSchema, ['enabled', 'success_criteria', 'sampling_window', 'aggression', 'sr_threshold', 'rps_threshold', 'max_rejection_probability']);
const criteriaFields = knownFields(CriteriaSchema, ['http_criteria', 'grpc_criteria']);
const httpFields = knownFields(HttpCriteriaSchema, ['http_success_status']);
const grpcFields = knownFields(GrpcCriteriaSchema, ['grpc_success_status']);

export const admissionControl: HttpFilterFactory<AdmissionControlConfig> = {
  name: 'envoy.filters.http.admission_control',
  typeUrls: ['type.googleapis.com/envoy.extensions.filters.http.admission_control.v3.AdmissionControl'],
  messages: [AdmissionControlSchema],
  sides: ['client', 'server'],
  parse: (_typeUrl, value) => parse(value),
  create: (context) => new AdmissionControlFilter(context),
};

function parse(value: Uint8Array): AdmissionControlConfig {
  const message = fromBinary(AdmissionControlSchema, value);
  const report = new Report();
  report.check(fields, message, '');
  const isSuccess = decodeCriteria(message, report);
  const windowMs = durationMs(message.samplingWindow, 'sampling_window', report) ?? 30_000;
  if (windowMs < 1000) report.add('sampling_window', 'must be 1 s or more');
  const percent = (value: number | undefined, fallback: number, path: string) => {
    const given = value ?? fallback;
    if (!(given >= 0 && given <= 100)) report.add(path, `must be 0 to 100, is ${given}`);
    return given / 100;
  };
  const config: AdmissionControlConfig = {
    enabled: message.enabled?.defaultValue ?? true,
    windowSeconds: Math.round(windowMs / 1000),
    aggression: Math.max(1, message.aggression?.defaultValue ?? 1),
    // Envoy takes no threshold below 1 %.
    threshold: Math.max(0.01, percent(message.srThreshold?.defaultValue?.value, 95, 'sr_threshold.default_value')),
    rpsThreshold: message.rpsThreshold?.defaultValue ?? 0,
    maxRejection: percent(message.maxRejectionProbability?.defaultValue?.value, 80, 'max_rejection_probability.default_value'),
    isSuccess,
  };
  report.finish('AdmissionControl');
  return config;
}

function decodeCriteria(message: AdmissionControl, report: Report): (info: StreamInfo) => boolean {
  const criteria = message.evaluationCriteria.case === 'successCriteria' ? message.evaluationCriteria.value : undefined;
  if (!criteria) report.add('success_criteria', 'is required');
  else report.check(criteriaFields, criteria, 'success_criteria');
  const http = criteria?.httpCriteria;
  const grpc = criteria?.grpcCriteria;
  if (http) report.check(httpFields, http, 'success_criteria.http_criteria');
  if (grpc) report.check(grpcFields, grpc, 'success_criteria.grpc_criteria');
  http?.httpSuccessStatus.forEach(({ start, end }, i) => {
    if (start < 100 || end > 600 || start >= end) report.add(`success_criteria.http_criteria.http_success_status[${i}]`, 'must be a range within [100, 600)');
  });
  const ranges = http?.httpSuccessStatus.map(({ start, end }) => ({ start, end })) ?? [{ start: 100, end: 500 }];
  const statuses = grpc && new Set(grpc.grpcSuccessStatus);
  if (http && ranges.length === 0) report.add('success_criteria.http_criteria.http_success_status', 'must not be empty');
  if (statuses?.size === 0) report.add('success_criteria.grpc_criteria.grpc_success_status', 'must not be empty');
  return ({ protocol, status, grpcStatus }) => {
    if (protocol !== 'grpc') return ranges.some(({ start, end }) => status >= start && status < end);
    if (grpcStatus === undefined) return false;
    return statuses ? statuses.has(grpcStatus) : !isServerFault(grpcStatus);
  };
}

const refusal: LocalReply = { status: 503, body: '', details: 'denied_by_admission_control' };

class AdmissionControlFilter implements HttpFilter<AdmissionControlConfig> {
  readonly #context: FilterContext;
  #window: SuccessWindow | undefined;

  constructor(context: FilterContext) {
    this.#context = context;
  }

  forRoute(config: AdmissionControlConfig): (() => StreamFilter) | undefined {
    if (!config.enabled) return undefined;
    if (this.#window?.seconds !== config.windowSeconds) this.#window = new SuccessWindow(config.windowSeconds, () => this.#context.now());
    const window = this.#window;
    return () => {
      let admitted = false;
      return {
        decodeHeaders: () => {
          if (this.#rejects(config, window)) return refusal;
          admitted = true;
          return undefined;
        },
        // What ends without a status is a failure, whoever ended it (Envoy).
        onComplete: (info) => {
          if (admitted) window.record(config.isSuccess(info));
        },
      };
    };
  }

  #rejects({ aggression, threshold, rpsThreshold, maxRejection }: AdmissionControlConfig, window: SuccessWindow): boolean {
    const { total, successes } = window.counts();
    if (total / window.seconds < rpsThreshold) return false;
    const share = Math.max(0, (total - successes / threshold) / (total + 1));
    return this.#context.random() < Math.min(maxRejection, aggression === 1 ? share : share ** (1 / aggression));
  }
}
