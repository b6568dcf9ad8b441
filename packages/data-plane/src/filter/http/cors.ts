// envoy.filters.http.cors: answers preflights and tells browsers which origins may read a response. What it allows stands only in the
// routes: each field is taken from the most specific level that has it, whether it runs at all from the most specific level alone.
import { create, fromBinary, type Message, type MessageShape } from '@weft/xds-api/protobuf';
import { typeUrl } from '@weft/xds-api';
import { CorsPolicySchema, CorsSchema } from '@weft/xds-api/filter-cors';
import { CorsPolicySchema as OlderCorsPolicySchema } from '@weft/xds-api/route';
import type { FractionConfig } from '../../resource/matcher-config.js';
import { decodeStringMatcher } from '../../resource/matcher.js';
import { knownFields, Report } from '../../resource/report.js';
import { runtimeFraction } from '../../resource/value.js';
import { compileFraction } from '../fraction.js';
import { compileStringMatcher } from '../../route/string-matcher.js';
import type { LocalReply } from '../../stream/local-reply.js';
import type { RequestHead } from '../../stream/request-head.js';
import type { ResponseHead } from '../../stream/response-head.js';
import { filterCounters } from '../filter-counters.js';
import type { FilterContext, FilterRouteInfo, HttpFilterFactory, StreamFilter } from '../http-filter.js';

export interface CorsPolicy {
  allowOrigins: readonly ((origin: string) => boolean)[];
  allowMethods: string;
  allowHeaders: string;
  exposeHeaders: string;
  maxAge: string;
  allowCredentials?: boolean;
  allowPrivateNetworkAccess?: boolean;
  forwardNotMatchingPreflights?: boolean;
  filterEnabled?: FractionConfig;
  shadowEnabled?: FractionConfig;
  /** Counts only where no other stands. */
  older?: true;
}

const fields = knownFields(CorsPolicySchema, ['allow_origin_string_match', 'allow_methods', 'allow_headers', 'expose_headers', 'max_age', 'allow_credentials', 'filter_enabled', 'shadow_enabled', 'allow_private_network_access', 'forward_not_matching_preflights']);
const olderFields = knownFields(OlderCorsPolicySchema, ['allow_origin_string_match', 'allow_methods', 'allow_headers', 'expose_headers', 'max_age', 'allow_credentials', 'filter_enabled', 'shadow_enabled', 'allow_private_network_access', 'forward_not_matching_preflights']);
const filterFields = knownFields(CorsSchema, []);

export const cors: HttpFilterFactory<void, CorsPolicy> = {
  name: 'envoy.filters.http.cors',
  // The second stands in `cors` of routes and virtual hosts.
  typeUrls: [typeUrl(CorsSchema), typeUrl(OlderCorsPolicySchema), typeUrl(CorsPolicySchema)],
  messages: [CorsSchema, CorsPolicySchema],
  sides: ['client', 'server'],
  parse(_typeUrl, value) {
    const report = new Report();
    report.check(filterFields, fromBinary(CorsSchema, value), '');
    report.finish('Cors');
  },
  parseOverride: (url, value) => (url === typeUrl(OlderCorsPolicySchema) ? { ...parsePolicy(olderPolicy(value)), older: true } : parsePolicy(value)),
  create: (context) => ({ forRoute: (_config, _override, route) => forRoute(route, context) }),
};

/** The same fields in another message. */
function olderPolicy(value: Uint8Array): MessageShape<typeof CorsPolicySchema> {
  const { $typeName: _type, enabledSpecifier, ...policy } = fromBinary(OlderCorsPolicySchema, value);
  const report = new Report();
  report.check(olderFields, { $typeName: OlderCorsPolicySchema.typeName, enabledSpecifier, ...policy } as Message, '');
  report.finish('CorsPolicy');
  return create(CorsPolicySchema, { ...policy, ...(enabledSpecifier.case === 'filterEnabled' && { filterEnabled: enabledSpecifier.value }) });
}

function parsePolicy(value: Uint8Array | MessageShape<typeof CorsPolicySchema>): CorsPolicy {
  const message = value instanceof Uint8Array ? fromBinary(CorsPolicySchema, value) : value;
  const report = new Report();
  report.check(fields, message, '');
  const origins = message.allowOriginStringMatch.map((matcher, i) => decodeStringMatcher(matcher, `allow_origin_string_match[${i}]`, report));
  const filterEnabled = runtimeFraction(message.filterEnabled, 'filter_enabled', report);
  const shadowEnabled = runtimeFraction(message.shadowEnabled, 'shadow_enabled', report);
  report.finish('CorsPolicy');
  const { allowMethods, allowHeaders, exposeHeaders, maxAge, allowCredentials, allowPrivateNetworkAccess, forwardNotMatchingPreflights } = message;
  return {
    allowOrigins: origins.map(compileStringMatcher), allowMethods, allowHeaders, exposeHeaders, maxAge,
    ...(allowCredentials !== undefined && { allowCredentials }),
    ...(allowPrivateNetworkAccess !== undefined && { allowPrivateNetworkAccess }),
    ...(forwardNotMatchingPreflights !== undefined && { forwardNotMatchingPreflights }),
    ...(filterEnabled && { filterEnabled }),
    ...(shadowEnabled && { shadowEnabled }),
  };
}

function forRoute({ overrides: all, forwards }: FilterRouteInfo<CorsPolicy>, context: FilterContext): (() => StreamFilter) | undefined {
  const newer = all.filter(({ older }) => !older);
  const overrides = newer.length > 0 ? newer : all;
  const [first] = overrides.slice(-1);
  if (!first || !forwards) return undefined;
  const policy = effective(overrides.toReversed());
  const enabled = first.filterEnabled ? compileFraction(first.filterEnabled, context) : () => true;
  const shadow = first.shadowEnabled ? compileFraction(first.shadowEnabled, context) : () => false;
  const count = filterCounters(context, 'cors', { origin_valid: 'Requests with an allowed origin', origin_invalid: 'Requests with an origin that is not allowed' });
  return () => {
    let allowedOrigin: string | undefined;
    return {
      decodeHeaders(head) {
        const enforced = enabled();
        if (!enforced && !shadow()) return undefined;
        const origin = head.headers.get('origin');
        if (origin === undefined || origin === '') return undefined;
        // A matcher that takes `*` takes every origin.
        const allowed = policy.allowOrigins.some((matches) => matches('*') || matches(origin));
        count(allowed ? 'origin_valid' : 'origin_invalid');
        if (!enforced) return undefined;
        if (allowed) allowedOrigin = origin;
        const asked = head.method === 'OPTIONS' ? head.headers.get('access-control-request-method') : undefined;
        if (!asked || (!allowed && policy.forwardNotMatchingPreflights !== false)) return undefined;
        return preflight(policy, head, asked);
      },
      encodeHeaders(response) {
        if (allowedOrigin !== undefined) allowReading(response, policy, allowedOrigin);
      },
    };
  };
}

/** The origin is added like to any other answer. */
function preflight(policy: CorsPolicy, head: RequestHead, method: string): LocalReply {
  const headers: [string, string][] = [];
  const add = (name: string, value: string | undefined) => value && headers.push([`access-control-${name}`, value]);
  add('allow-credentials', policy.allowCredentials ? 'true' : undefined);
  add('allow-methods', policy.allowMethods === '*' ? method : policy.allowMethods);
  // Empty where none was asked for, as in Envoy.
  if (policy.allowHeaders === '*') headers.push(['access-control-allow-headers', head.headers.get('access-control-request-headers') ?? '']);
  else add('allow-headers', policy.allowHeaders);
  add('max-age', policy.maxAge);
  add('allow-private-network', policy.allowPrivateNetworkAccess && head.headers.get('access-control-request-private-network') === 'true' ? 'true' : undefined);
  return { status: 200, body: '', headers, unedited: true, details: 'cors_response' };
}

function allowReading({ headers }: ResponseHead, { allowCredentials, exposeHeaders }: CorsPolicy, origin: string): void {
  headers.set('access-control-allow-origin', origin);
  if (allowCredentials) headers.set('access-control-allow-credentials', 'true');
  if (exposeHeaders !== '') headers.set('access-control-expose-headers', exposeHeaders);
}

/** `policies`: the most specific first. */
function effective(policies: readonly CorsPolicy[]): CorsPolicy {
  const text = (name: 'allowMethods' | 'allowHeaders' | 'exposeHeaders' | 'maxAge') => policies.find((policy) => policy[name] !== '')?.[name] ?? '';
  const flag = (name: 'allowCredentials' | 'allowPrivateNetworkAccess' | 'forwardNotMatchingPreflights') => {
    const value = policies.find((policy) => policy[name] !== undefined)?.[name];
    return value !== undefined && { [name]: value };
  };
  return {
    allowOrigins: policies.find(({ allowOrigins }) => allowOrigins.length > 0)?.allowOrigins ?? [],
    allowMethods: text('allowMethods'), allowHeaders: text('allowHeaders'), exposeHeaders: text('exposeHeaders'), maxAge: text('maxAge'),
    ...flag('allowCredentials'), ...flag('allowPrivateNetworkAccess'), ...flag('forwardNotMatchingPreflights'),
  };
}
