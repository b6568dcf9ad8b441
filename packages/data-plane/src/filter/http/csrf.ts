// envoy.filters.http.csrf: requests that change something must come from the site they go to, or from one that is listed.
import { fromBinary } from '@weft/xds-api/protobuf';
import { typeUrl } from '@weft/xds-api';
import { CsrfPolicySchema } from '@weft/xds-api/filter-headers';
import type { FractionConfig } from '../../resource/matcher-config.js';
import { decodeStringMatcher } from '../../resource/matcher.js';
import { knownFields, Report } from '../../resource/report.js';
import { runtimeFraction } from '../../resource/value.js';
import { compileFraction } from '../fraction.js';
import { compileStringMatcher } from '../../route/string-matcher.js';
import type { LocalReply } from '../../stream/local-reply.js';
import type { RequestHead } from '../../stream/request-head.js';
import { filterCounters } from '../filter-counters.js';
import type { FilterContext, HttpFilterFactory, StreamFilter } from '../http-filter.js';

export interface CsrfConfig {
  enabled: FractionConfig;
  shadow?: FractionConfig;
  /** Compared with host and port of the origin. */
  additionalOrigins: readonly ((origin: string) => boolean)[];
}

const fields = knownFields(CsrfPolicySchema, ['filter_enabled', 'shadow_enabled', 'additional_origins']);
const changing = new Set(['POST', 'PUT', 'DELETE', 'PATCH']);
const refused: LocalReply = { status: 403, body: 'Invalid origin', details: 'csrf_origin_mismatch' };

export const csrf: HttpFilterFactory<CsrfConfig> = {
  name: 'envoy.filters.http.csrf',
  typeUrls: [typeUrl(CsrfPolicySchema)],
  messages: [CsrfPolicySchema],
  sides: ['client', 'server'],
  parse(_typeUrl, value) {
    const message = fromBinary(CsrfPolicySchema, value);
    const report = new Report();
    report.check(fields, message, '');
    if (!message.filterEnabled) report.add('filter_enabled', 'is required');
    const enabled = runtimeFraction(message.filterEnabled, 'filter_enabled', report) ?? { numerator: 100, denominator: 100 };
    const shadow = runtimeFraction(message.shadowEnabled, 'shadow_enabled', report);
    const origins = message.additionalOrigins.map((matcher, i) => decodeStringMatcher(matcher, `additional_origins[${i}]`, report));
    report.finish('CsrfPolicy');
    return { enabled, ...(shadow && { shadow }), additionalOrigins: origins.map(compileStringMatcher) };
  },
  create: (context) => ({ forRoute: (config, override) => forRoute(override ?? config, context) }),
};

function forRoute({ enabled, shadow, additionalOrigins }: CsrfConfig, context: FilterContext): (() => StreamFilter) | undefined {
  if (!enabled.numerator && !shadow?.numerator) return undefined;
  const isEnabled = compileFraction(enabled, context);
  const isShadow = shadow ? compileFraction(shadow, context) : () => false;
  const count = filterCounters(context, 'csrf', { missing_source_origin: 'Requests without an origin', request_invalid: 'Requests from another origin', request_valid: 'Requests from an allowed origin' });
  const filter: StreamFilter = {
    decodeHeaders(head) {
      const enforced = isEnabled();
      if ((!enforced && !isShadow()) || !changing.has(head.method)) return undefined;
      const origin = sourceOrigin(head);
      if (origin === '') count('missing_source_origin');
      else if (origin === hostOf(head.authority) || additionalOrigins.some((matches) => matches(origin))) {
        count('request_valid');
        return undefined;
      } else count('request_invalid');
      return enforced ? refused : undefined;
    },
  };
  return () => filter;
}

/** A browser that hides where a request comes from sends `Origin: null`, which is nobody's: no matcher takes it, and no referer makes up for it. */
function sourceOrigin({ headers }: RequestHead): string {
  const origin = headers.get('origin') ?? '';
  if (origin === 'null') return '';
  return hostOf(origin) || hostOf(headers.get('referer') ?? '');
}

/** Host and port as written, of a URL or already without its other parts. */
function hostOf(text: string): string {
  const match = /^[a-z][a-z\d+.-]*:\/\/(?:[^/?#]*@)?([^/?#]*)/i.exec(text);
  return match?.[1] ?? text;
}
