// envoy.filters.http.header_to_metadata: headers and cookies become dynamic metadata, for other filters and for logs.
import { fromBinary } from '@weft/xds-api/protobuf';
import { ValueSchema } from '@weft/xds-api/protobuf/wkt';
import { typeUrl } from '@weft/xds-api';
import { Config_KeyValuePairSchema, Config_RuleSchema, Config_ValueEncode as Encoding, Config_ValueType as ValueType, HeaderToMetadataSchema, type Config_KeyValuePair, type Config_Rule } from '@weft/xds-api/filter-headers';
import { decodeRegexRewrite } from '../../resource/matcher.js';
import { join, knownFields, Report } from '../../resource/report.js';
import { compileRegexRewrite } from '../../route/regex.js';
import { requestHeader } from '../../route/request-header.js';
import type { HeaderMap } from '../../stream/header-map.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import { addMetadata } from '../dynamic-metadata.js';
import type { HttpFilterFactory, StreamFilter } from '../http-filter.js';

/** `pseudo` reads what is no header of the list: `:path` and the like. */
type Rule = (headers: HeaderMap, info: StreamInfo, pseudo: (name: string) => string | undefined) => void;
type Write = (info: StreamInfo, value: string) => void;

export interface HeaderToMetadataConfig {
  request: readonly Rule[];
  response: readonly Rule[];
}

const filterName = 'envoy.filters.http.header_to_metadata';
const longestValue = 8192;
const fields = knownFields(HeaderToMetadataSchema, ['request_rules', 'response_rules'], ['stat_prefix']);
const ruleFields = knownFields(Config_RuleSchema, ['header', 'cookie', 'on_header_present', 'on_header_missing', 'remove']);
const pairFields = knownFields(Config_KeyValuePairSchema, ['metadata_namespace', 'key', 'value', 'regex_value_rewrite', 'type', 'encode']);

export const headerToMetadata: HttpFilterFactory<HeaderToMetadataConfig> = {
  name: filterName,
  typeUrls: [typeUrl(HeaderToMetadataSchema)],
  messages: [HeaderToMetadataSchema],
  sides: ['client', 'server'],
  parse: (_typeUrl, value) => parse(value),
  parseOverride(_typeUrl, value) {
    const config = parse(value);
    if (config.request.length === 0 && config.response.length === 0) throw new Error('request_rules or response_rules is required in a route');
    return config;
  },
  create: () => ({
    forRoute(config, override) {
      const { request, response } = override ?? config;
      if (request.length === 0 && response.length === 0) return undefined;
      const filter: StreamFilter = {
        ...(request.length > 0 && { decodeHeaders: (head, info) => void request.forEach((rule) => rule(head.headers, info, (name) => requestHeader(head, name))) } satisfies StreamFilter),
        ...(response.length > 0 && { encodeHeaders: (head, info) => response.forEach((rule) => rule(head.headers, info, (name) => (name === ':status' ? String(head.status) : undefined))) } satisfies StreamFilter),
      };
      return () => filter;
    },
  }),
};

function parse(value: Uint8Array): HeaderToMetadataConfig {
  const message = fromBinary(HeaderToMetadataSchema, value);
  const report = new Report();
  report.check(fields, message, '');
  const rules = (list: readonly Config_Rule[], name: string) => list.flatMap((rule, i) => decodeRule(rule, `${name}[${i}]`, report) ?? []);
  const config = { request: rules(message.requestRules, 'request_rules'), response: rules(message.responseRules, 'response_rules') };
  report.finish('header_to_metadata.Config');
  return config;
}

function decodeRule(rule: Config_Rule, path: string, report: Report): Rule | undefined {
  report.check(ruleFields, rule, path);
  const { cookie, remove, onHeaderPresent, onHeaderMissing } = rule;
  const header = rule.header.toLowerCase();
  if ((header === '') === (cookie === '')) report.add(path, 'exactly one of header, cookie is required');
  if (!onHeaderPresent && !onHeaderMissing) report.add(path, 'one of on_header_present, on_header_missing is required');
  if (cookie !== '' && remove) report.add(join(path, 'remove'), 'does not go with a cookie');
  if (onHeaderMissing?.value === '') report.add(join(path, 'on_header_missing.value'), 'must not be empty');
  const present = onHeaderPresent && decodePair(onHeaderPresent, join(path, 'on_header_present'), report);
  const missing = onHeaderMissing && decodePair(onHeaderMissing, join(path, 'on_header_missing'), report);
  const isPseudo = header.startsWith(':') || header === 'host';
  return (headers, info, pseudo) => {
    const value = isPseudo ? pseudo(header) : cookie === '' ? headers.joined(header) : cookieOf(headers, cookie);
    if (value === undefined) return missing?.(info, '');
    if (remove) headers.remove(header);
    present?.(info, value);
  };
}

function decodePair(pair: Config_KeyValuePair, path: string, report: Report): Write | undefined {
  report.check(pairFields, pair, path);
  const { key, value: fixed, regexValueRewrite, type, encode } = pair;
  const namespace = pair.metadataNamespace || filterName;
  if (key === '') report.add(join(path, 'key'), 'must not be empty');
  if (fixed !== '' && regexValueRewrite) report.add(join(path, 'regex_value_rewrite'), 'cannot stand beside value');
  if (ValueType[type] === undefined) report.add(join(path, 'type'), `unknown value ${type as number}`);
  const rewriteConfig = regexValueRewrite && decodeRegexRewrite(regexValueRewrite, join(path, 'regex_value_rewrite'), report);
  const rewrite = rewriteConfig && report.attempt(join(path, 'regex_value_rewrite'), () => compileRegexRewrite(rewriteConfig));
  return (info, value) => {
    const text = fixed || (rewrite ? rewrite(value) : value);
    const decoded = text === '' || text.length >= longestValue ? undefined : valueOf(text, type, encode);
    if (decoded !== undefined) addMetadata(info, namespace, Object.freeze({ [key]: decoded }));
  };
}

/** Undefined where it is not what it should be: then nothing is written. */
function valueOf(text: string, type: ValueType, encoding: Encoding): unknown {
  const bytes = encoding === Encoding.BASE64 ? decodeBase64(text) : Buffer.from(text, 'latin1');
  if (!bytes || bytes.length === 0) return undefined;
  switch (type) {
    case ValueType.NUMBER: {
      const number = bytes.toString('latin1').trim();
      return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(number) ? Number(number) : undefined;
    }
    case ValueType.PROTOBUF_VALUE:
      try {
        return plain(fromBinary(ValueSchema, bytes).kind);
      } catch {
        return undefined;
      }
    default:
      return bytes.toString('latin1');
  }
}

function decodeBase64(text: string): Buffer | undefined {
  return /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined;
}

interface ProtoValue {
  case?: string | undefined;
  value?: unknown;
}

/** google.protobuf.Value as plain data. */
function plain(kind: ProtoValue): unknown {
  if (kind.case === 'listValue') return (kind.value as { values: { kind: ProtoValue }[] }).values.map((item) => plain(item.kind));
  return kind.case === 'nullValue' ? null : kind.value;
}

function cookieOf(headers: HeaderMap, name: string): string | undefined {
  for (const line of headers.all('cookie')) {
    for (const part of line.split(';')) {
      const equals = part.indexOf('=');
      if (equals === -1 || part.slice(0, equals).trim() !== name) continue;
      const value = part.slice(equals + 1).trim();
      return (value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value) || undefined;
    }
  }
  return undefined;
}
