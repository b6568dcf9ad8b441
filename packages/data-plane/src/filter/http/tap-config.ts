// envoy.extensions.filters.http.tap.v3.Tap, decoded and compiled.
import { fromBinary } from '@weft/xds-api/protobuf';
import {
  CommonExtensionConfigSchema, CommonHttpHeadersMatchSchema, CommonMatchPredicateSchema, CommonMatchSetSchema, FilePerTapSinkSchema, HttpHeadersMatchSchema, MatchPredicateSchema, MatchPredicate_MatchSetSchema, OutputConfigSchema,
  OutputSinkSchema, OutputSink_Format as Format, TapConfigSchema, TapSchema, type CommonMatchPredicate, type MatchPredicate, type OutputConfig, type TapConfig as TapMessage,
} from '@weft/xds-api/filter-body';
import type { FractionConfig } from '../../resource/matcher-config.js';
import { decodeHeaderMatcher } from '../../resource/matcher.js';
import { join, knownFields, Report } from '../../resource/report.js';
import { runtimeFraction } from '../../resource/value.js';
import { compileHeaderMatcher, type HeaderMatcher } from '../../route/header-matcher.js';

export type TapPart = 'request headers' | 'request trailers' | 'response headers' | 'response trailers';

export type TapPredicate =
  | { readonly kind: 'any' }
  | { readonly kind: 'and' | 'or'; readonly rules: readonly TapPredicate[] }
  | { readonly kind: 'not'; readonly rule: TapPredicate }
  | { readonly kind: 'headers'; readonly part: TapPart; readonly headers: readonly HeaderMatcher[] };

export interface TapConfig {
  readonly predicate: TapPredicate;
  readonly pathPrefix: string;
  readonly asString: boolean;
  readonly streaming: boolean;
  readonly maxRequestBytes: number;
  readonly maxResponseBytes: number;
  readonly enabled: FractionConfig | undefined;
  readonly recordTimes: boolean;
  readonly recordConnection: boolean;
}

const fields = knownFields(TapSchema, ['common_config', 'record_headers_received_time', 'record_downstream_connection']);
const commonFields = knownFields(CommonExtensionConfigSchema, ['static_config'], [], ['admin_config']);
const tapFields = knownFields(TapConfigSchema, ['match_config', 'match', 'output_config', 'tap_enabled']);
const outputFields = knownFields(OutputConfigSchema, ['sinks', 'max_buffered_rx_bytes', 'max_buffered_tx_bytes', 'streaming']);
const sinkFields = knownFields(OutputSinkSchema, ['format', 'file_per_tap']);
const fileFields = knownFields(FilePerTapSinkSchema, ['path_prefix']);
const rules = ['or_match', 'and_match', 'not_match', 'any_match', 'http_request_headers_match', 'http_request_trailers_match', 'http_response_headers_match', 'http_response_trailers_match'];
const predicateFields = knownFields(MatchPredicateSchema, rules);
const commonPredicateFields = knownFields(CommonMatchPredicateSchema, rules);
const setFields = knownFields(MatchPredicate_MatchSetSchema, ['rules']);
const commonSetFields = knownFields(CommonMatchSetSchema, ['rules']);
const headersFields = knownFields(HttpHeadersMatchSchema, ['headers']);
const commonHeadersFields = knownFields(CommonHttpHeadersMatchSchema, ['headers']);

/** Under which matchers find `:status`, which they do not know as a header of requests. No header can have this name. */
export const statusHeader = ' status';

const defaultBufferedBytes = 1024;

/** @throws {DecodeError} */
export function parseTap(value: Uint8Array): TapConfig {
  const message = fromBinary(TapSchema, value);
  const report = new Report();
  report.check(fields, message, '');
  const config = staticConfig(message.commonConfig, report);
  const at = 'common_config.static_config';
  const decoded = config && {
    predicate: predicateOf(config, at, report),
    ...outputOf(config.outputConfig, `${at}.output_config`, report),
    enabled: runtimeFraction(config.tapEnabled, `${at}.tap_enabled`, report),
    recordTimes: message.recordHeadersReceivedTime,
    recordConnection: message.recordDownstreamConnection,
  };
  report.finish('Tap');
  return decoded as TapConfig;
}

function staticConfig(common: ReturnType<typeof fromBinary<typeof TapSchema>>['commonConfig'], report: Report): TapMessage | undefined {
  if (!common) return void report.add('common_config', 'is required');
  report.check(commonFields, common, 'common_config');
  if (common.configType.case === 'staticConfig') {
    report.check(tapFields, common.configType.value, 'common_config.static_config');
    return common.configType.value;
  }
  report.add(common.configType.case ? 'common_config.admin_config' : 'common_config', common.configType.case ? 'not supported: a library has no admin interface to tap from; use static_config' : 'one of static_config, admin_config is required');
  return undefined;
}

function predicateOf({ match, matchConfig }: TapMessage, path: string, report: Report): TapPredicate | undefined {
  // The deprecated one counts only where the other is not set.
  if (match) return predicate(match, join(path, 'match'), report);
  if (matchConfig) return predicate(matchConfig, join(path, 'match_config'), report);
  report.add(join(path, 'match'), 'is required');
  return undefined;
}

function predicate(message: MatchPredicate | CommonMatchPredicate, path: string, report: Report): TapPredicate | undefined {
  const common = message.$typeName === CommonMatchPredicateSchema.typeName;
  report.check(common ? commonPredicateFields : predicateFields, message, path);
  const { rule } = message;
  const headers = (part: TapPart, field: string, match: { headers: Parameters<typeof decodeHeaderMatcher>[0][] } & Parameters<Report['check']>[1]): TapPredicate => {
    report.check(common ? commonHeadersFields : headersFields, match, join(path, field));
    const decoded = match.headers.map((matcher, i) => decodeHeaderMatcher(matcher, `${join(path, field)}.headers[${i}]`, report)).map((matcher) => (matcher.name === ':status' ? { ...matcher, name: statusHeader } : matcher));
    return { kind: 'headers', part, headers: report.problems.length > 0 ? [] : decoded.map(compileHeaderMatcher) };
  };
  switch (rule.case) {
    case 'anyMatch':
      if (!rule.value) report.add(join(path, 'any_match'), 'must be true');
      return { kind: 'any' };
    case 'andMatch': case 'orMatch': {
      const kind = rule.case === 'andMatch' ? 'and' : 'or';
      const at = join(path, `${kind}_match`);
      report.check(common ? commonSetFields : setFields, rule.value, at);
      if (rule.value.rules.length < 2) report.add(join(at, 'rules'), 'must be two or more');
      return { kind, rules: rule.value.rules.flatMap((one, i) => predicate(one, `${at}.rules[${i}]`, report) ?? []) };
    }
    case 'notMatch': {
      const inner = predicate(rule.value, join(path, 'not_match'), report);
      return inner && { kind: 'not', rule: inner };
    }
    case 'httpRequestHeadersMatch': return headers('request headers', 'http_request_headers_match', rule.value);
    case 'httpRequestTrailersMatch': return headers('request trailers', 'http_request_trailers_match', rule.value);
    case 'httpResponseHeadersMatch': return headers('response headers', 'http_response_headers_match', rule.value);
    case 'httpResponseTrailersMatch': return headers('response trailers', 'http_response_trailers_match', rule.value);
    case undefined: return void report.add(path, 'a rule is required');
    // Refused by the check above.
    default: return undefined;
  }
}

function outputOf(output: OutputConfig | undefined, path: string, report: Report): Pick<TapConfig, 'pathPrefix' | 'asString' | 'streaming' | 'maxRequestBytes' | 'maxResponseBytes'> | undefined {
  if (!output) return void report.add(path, 'is required');
  report.check(outputFields, output, path);
  const [sink] = output.sinks;
  const at = `${path}.sinks[0]`;
  if (!sink || output.sinks.length > 1) return void report.add(join(path, 'sinks'), 'must be exactly one');
  report.check(sinkFields, sink, at);
  if (sink.format !== Format.JSON_BODY_AS_BYTES && sink.format !== Format.JSON_BODY_AS_STRING) report.add(join(at, 'format'), `${Format[sink.format] ?? sink.format} is not supported: use JSON_BODY_AS_BYTES or JSON_BODY_AS_STRING`);
  const file = sink.outputSinkType.case === 'filePerTap' ? sink.outputSinkType.value : undefined;
  if (file) report.check(fileFields, file, join(at, 'file_per_tap'));
  if (!file?.pathPrefix) report.add(join(at, 'file_per_tap.path_prefix'), 'is required');
  return {
    pathPrefix: file?.pathPrefix ?? '',
    asString: sink.format === Format.JSON_BODY_AS_STRING,
    streaming: output.streaming,
    maxRequestBytes: output.maxBufferedRxBytes ?? defaultBufferedBytes,
    maxResponseBytes: output.maxBufferedTxBytes ?? defaultBufferedBytes,
  };
}
