// envoy.config.route.v3.RateLimit, which routes, virtual hosts and rate limit filters hold.
import { RateLimitUnit, type MetadataKey } from '@weft/xds-api/filter-rate-limit';
import {
  RateLimit_Action_DynamicMetaDataSchema, RateLimit_Action_QueryParametersSchema, RateLimit_HitsAddendSchema, RateLimit_Override_RateLimitOverrideSchema, RateLimit_Action_GenericKeySchema, RateLimit_Action_HeaderValueMatchSchema, RateLimit_Action_MaskedRemoteAddressSchema, RateLimit_Action_MetaData_Source as Source,
  RateLimit_Action_MetaDataSchema, RateLimit_Action_QueryParameterValueMatchSchema, RateLimit_Action_RequestHeadersSchema, RateLimit_ActionSchema, RateLimit_OverrideSchema, RateLimitSchema,
  type RateLimit, type RateLimit_Action, type RateLimit_HitsAddend, type RateLimit_Override,
} from '@weft/xds-api/route';
import { compileFormatter } from '../route/formatter.js';
import { decodeHeaderMatcher, decodeQueryParameterMatcher } from './matcher.js';
import type { MetadataKeyConfig, RateLimitActionConfig, RateLimitConfig } from './rate-limit-config.js';
import { join, knownFields, type Report } from './report.js';

const fields = knownFields(RateLimitSchema, ['stage', 'disable_key', 'actions', 'limit', 'hits_addend', 'apply_on_stream_done']);
const hitsFields = knownFields(RateLimit_HitsAddendSchema, ['number', 'format', 'is_negative_hits']);
const fixedFields = knownFields(RateLimit_Override_RateLimitOverrideSchema, ['requests_per_unit', 'unit']);
/** Envoy's. */
const mostHits = 1_000_000_000n;
const actionFields = knownFields(RateLimit_ActionSchema, ['source_cluster', 'destination_cluster', 'request_headers', 'remote_address', 'generic_key', 'header_value_match', 'dynamic_metadata', 'metadata', 'masked_remote_address', 'query_parameter_value_match', 'query_parameters'], [], ['extension']);
const overrideFields = knownFields(RateLimit_OverrideSchema, ['dynamic_metadata', 'rate_limit']);
const requestHeaderFields = knownFields(RateLimit_Action_RequestHeadersSchema, ['header_name', 'descriptor_key', 'skip_if_absent']);
const maskedFields = knownFields(RateLimit_Action_MaskedRemoteAddressSchema, ['v4_prefix_mask_len', 'v6_prefix_mask_len']);
// Envoy takes values for formatters, which have a default, only behind a runtime flag that is off.
const genericFields = knownFields(RateLimit_Action_GenericKeySchema, ['descriptor_value', 'descriptor_key'], ['default_value']);
const queryFields = knownFields(RateLimit_Action_QueryParametersSchema, ['query_parameter_name', 'descriptor_key', 'skip_if_absent']);
const headerMatchFields = knownFields(RateLimit_Action_HeaderValueMatchSchema, ['descriptor_key', 'descriptor_value', 'expect_match', 'headers'], ['default_value']);
const queryMatchFields = knownFields(RateLimit_Action_QueryParameterValueMatchSchema, ['descriptor_key', 'descriptor_value', 'expect_match', 'query_parameters'], ['default_value']);
const metadataFields = knownFields(RateLimit_Action_MetaDataSchema, ['descriptor_key', 'metadata_key', 'default_value', 'source', 'skip_if_absent']);
const dynamicFields = knownFields(RateLimit_Action_DynamicMetaDataSchema, ['descriptor_key', 'metadata_key', 'default_value']);

/** `of`: a filter's own limits may say how much a request counts, and when; its stage and a key of the runtime layer they have none. */
export function decodeRateLimits(limits: readonly RateLimit[], path: string, report: Report, of: 'route' | 'filter' = 'route'): RateLimitConfig[] {
  return limits.map((limit, i) => decodeRateLimit(limit, of, `${path}[${i}]`, report));
}

function decodeRateLimit(message: RateLimit, of: 'route' | 'filter', path: string, report: Report): RateLimitConfig {
  report.check(fields, message, path);
  const stage = message.stage ?? 0;
  if (stage > 10) report.add(join(path, 'stage'), `must be 0 to 10, is ${stage}`);
  if (message.actions.length === 0) report.add(join(path, 'actions'), 'must not be empty');
  const { limit } = message;
  const override = limit && decodeOverride(limit, join(path, 'limit'), report);
  const { hitsAddend, applyOnStreamDone } = message;
  if (of === 'route') {
    for (const [name, set] of [['hits_addend', hitsAddend !== undefined], ['apply_on_stream_done', applyOnStreamDone]] as const) if (set) report.add(join(path, name), 'counts in the rate_limits of a filter only');
  } else if (message.stage !== undefined || message.disableKey !== '') report.add(path, 'stage and disable_key have no place in the limits of a filter');
  const hits = hitsAddend && decodeHits(hitsAddend, join(path, 'hits_addend'), report);
  return {
    stage,
    disableKey: message.disableKey,
    actions: message.actions.flatMap((action, i) => decodeAction(action, `${path}.actions[${i}]`, report) ?? []),
    ...(override && { limit: override }),
    ...(hits && { hits }),
    ...(applyOnStreamDone && { onStreamDone: true }),
  };
}

function decodeOverride(limit: RateLimit_Override, path: string, report: Report): RateLimitConfig['limit'] {
  report.check(overrideFields, limit, path);
  const specifier = limit.overrideSpecifier;
  switch (specifier.case) {
    case 'dynamicMetadata': return metadataKey(specifier.value.metadataKey, join(path, 'dynamic_metadata.metadata_key'), report);
    case 'rateLimit': {
      const { requestsPerUnit, unit } = specifier.value;
      report.check(fixedFields, specifier.value, join(path, 'rate_limit'));
      const name = RateLimitUnit[unit];
      if (name === undefined || unit === RateLimitUnit.UNKNOWN) report.add(join(path, 'rate_limit.unit'), 'is required');
      return { requestsPerUnit, unit: name ?? '' };
    }
    default:
      report.add(path, 'one of dynamic_metadata, rate_limit is required');
      return undefined;
  }
}

function decodeHits(message: RateLimit_HitsAddend, path: string, report: Report): RateLimitConfig['hits'] {
  report.check(hitsFields, message, path);
  const { number, format, isNegativeHits } = message;
  if ((number === undefined) === (format === '')) report.add(path, 'one of number, format is required');
  if (number !== undefined && number > mostHits) report.add(join(path, 'number'), `must be at most ${mostHits}`);
  if (format !== '') report.attempt(join(path, 'format'), () => void compileFormatter(format));
  return { value: number === undefined ? format : Number(number), negative: isNegativeHits };
}

function decodeAction(action: RateLimit_Action, path: string, report: Report): RateLimitActionConfig | undefined {
  report.check(actionFields, action, path);
  const specifier = action.actionSpecifier;
  const required = (value: string, name: string) => {
    if (value === '') report.add(join(path, name), 'must not be empty');
    return value;
  };
  switch (specifier.case) {
    case 'sourceCluster': return { kind: 'source-cluster' };
    case 'destinationCluster': return { kind: 'destination-cluster' };
    case 'remoteAddress': return { kind: 'remote-address' };
    case 'requestHeaders': {
      const { headerName, descriptorKey, skipIfAbsent } = specifier.value;
      report.check(requestHeaderFields, specifier.value, join(path, 'request_headers'));
      return { kind: 'request-header', header: required(headerName, 'request_headers.header_name').toLowerCase(), key: required(descriptorKey, 'request_headers.descriptor_key'), skipIfAbsent };
    }
    case 'maskedRemoteAddress': {
      const { v4PrefixMaskLen: v4 = 32, v6PrefixMaskLen: v6 = 128 } = specifier.value;
      report.check(maskedFields, specifier.value, join(path, 'masked_remote_address'));
      if (v4 > 32 || v6 > 128) report.add(join(path, 'masked_remote_address'), 'the masks must be at most 32 and 128 bits long');
      return { kind: 'masked-remote-address', v4, v6 };
    }
    case 'genericKey':
      report.check(genericFields, specifier.value, join(path, 'generic_key'));
      return { kind: 'generic-key', key: specifier.value.descriptorKey || 'generic_key', value: required(specifier.value.descriptorValue, 'generic_key.descriptor_value') };
    case 'queryParameters': {
      const { queryParameterName, descriptorKey, skipIfAbsent } = specifier.value;
      report.check(queryFields, specifier.value, join(path, 'query_parameters'));
      return { kind: 'query-parameter', name: required(queryParameterName, 'query_parameters.query_parameter_name'), key: required(descriptorKey, 'query_parameters.descriptor_key'), skipIfAbsent };
    }
    case 'headerValueMatch': {
      const { descriptorKey, descriptorValue, expectMatch = true, headers } = specifier.value;
      report.check(headerMatchFields, specifier.value, join(path, 'header_value_match'));
      if (headers.length === 0) report.add(join(path, 'header_value_match.headers'), 'must not be empty');
      return {
        kind: 'header-value-match', key: descriptorKey || 'header_match', value: required(descriptorValue, 'header_value_match.descriptor_value'), expect: expectMatch,
        headers: headers.map((matcher, i) => decodeHeaderMatcher(matcher, `${path}.header_value_match.headers[${i}]`, report)),
      };
    }
    case 'queryParameterValueMatch': {
      const { descriptorKey, descriptorValue, expectMatch = true, queryParameters } = specifier.value;
      report.check(queryMatchFields, specifier.value, join(path, 'query_parameter_value_match'));
      if (queryParameters.length === 0) report.add(join(path, 'query_parameter_value_match.query_parameters'), 'must not be empty');
      return {
        kind: 'query-parameter-value-match', key: descriptorKey || 'query_match', value: required(descriptorValue, 'query_parameter_value_match.descriptor_value'), expect: expectMatch,
        parameters: queryParameters.flatMap((matcher, i) => decodeQueryParameterMatcher(matcher, `${path}.query_parameter_value_match.query_parameters[${i}]`, report) ?? []),
      };
    }
    case 'dynamicMetadata': {
      const { descriptorKey, metadataKey: from, defaultValue } = specifier.value;
      report.check(dynamicFields, specifier.value, join(path, 'dynamic_metadata'));
      const metadata = metadataKey(from, join(path, 'dynamic_metadata.metadata_key'), report);
      return metadata && { kind: 'metadata', key: required(descriptorKey, 'dynamic_metadata.descriptor_key'), from: 'dynamic', metadata, default: defaultValue, skipIfAbsent: false };
    }
    case 'metadata': {
      const { descriptorKey, metadataKey: from, defaultValue, source, skipIfAbsent } = specifier.value;
      report.check(metadataFields, specifier.value, join(path, 'metadata'));
      const metadata = metadataKey(from, join(path, 'metadata.metadata_key'), report);
      return metadata && { kind: 'metadata', key: required(descriptorKey, 'metadata.descriptor_key'), from: source === Source.ROUTE_ENTRY ? 'route' : 'dynamic', metadata, default: defaultValue, skipIfAbsent };
    }
    case 'extension':
      report.unsupported(join(path, 'extension'));
      return undefined;
    default:
      report.add(path, 'an action is required');
      return undefined;
  }
}

function metadataKey(message: MetadataKey | undefined, path: string, report: Report): MetadataKeyConfig | undefined {
  if (!message || message.key === '' || message.path.length === 0) {
    report.add(path, 'key and path are required');
    return undefined;
  }
  return { key: message.key, path: message.path.map(({ segment }) => segment.value ?? '') };
}
