// `cors` of routes and virtual hosts: what the CORS filter goes by where its own configuration stands nowhere.
import { packAny } from '@weft/xds-api';
import { CorsPolicySchema, type CorsPolicy } from '@weft/xds-api/route';
import type { OlderOverride } from './http-filter.js';

export function olderCors(cors: CorsPolicy | undefined, path: string): OlderOverride | undefined {
  return cors && { name: 'envoy.filters.http.cors', config: packAny(CorsPolicySchema, cors), path };
}
