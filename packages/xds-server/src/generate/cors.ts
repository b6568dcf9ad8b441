import { CorsPolicySchema, CorsSchema } from '@weft/xds-api/filter-cors';
import type { CorsPolicy } from '../model/route-rule.js';
import { extension, type Init } from './message.js';
import { stringMatcher } from './string-match.js';

export const corsFilterName = 'envoy.filters.http.cors';

export function corsFilter() {
  return extension(corsFilterName, CorsSchema, {});
}

export function corsConfig(cors: CorsPolicy): Init<typeof CorsPolicySchema> {
  return {
    allowOriginStringMatch: cors.allowOrigins.map((origin) => stringMatcher(origin.kind === 'present' ? { kind: 'regex', value: '.+' } : origin)),
    allowMethods: cors.allowMethods.join(','),
    allowHeaders: cors.allowHeaders.join(','),
    exposeHeaders: cors.exposeHeaders.join(','),
    maxAge: cors.maxAgeSeconds === undefined ? '' : String(cors.maxAgeSeconds),
    ...(cors.allowCredentials === undefined ? {} : { allowCredentials: cors.allowCredentials }),
    ...(cors.ignoreUnmatchedPreflights && { forwardNotMatchingPreflights: false }),
  };
}

export { CorsPolicySchema };
