// internal_redirect_policy: which redirects of an upstream are followed by the mesh itself.
import {
  AllowListedRoutesConfigSchema, InternalRedirectPolicySchema, PreviousRoutesConfigSchema, RouteAction_InternalRedirectAction, SafeCrossSchemeConfigSchema,
  type InternalRedirectPolicy, type RouteAction,
} from '@weft/xds-api/route';
import type { TypedExtensionConfig } from '@weft/xds-api/core';
import { join, knownFields, type Report } from './report.js';
import type { InternalRedirectConfig } from './route-config.js';
import { typeNameOf, unpack } from './value.js';

const policyFields = knownFields(InternalRedirectPolicySchema, ['max_internal_redirects', 'redirect_response_codes', 'predicates', 'allow_cross_scheme_redirect', 'response_headers_to_copy']);
const allowedFields = knownFields(AllowListedRoutesConfigSchema, ['allowed_route_names']);

const statuses = new Set([301, 302, 303, 307, 308]);
type Conditions = Partial<Pick<InternalRedirectConfig, 'allowedRoutes' | 'notPreviousRoutes'>> & { safeCrossScheme?: boolean };

/** The policy, or the older two fields that say the same. Undefined: redirects go to the application. */
export function decodeInternalRedirect(action: RouteAction, path: string, report: Report): InternalRedirectConfig | undefined {
  if (action.internalRedirectPolicy) return decodePolicy(action.internalRedirectPolicy, join(path, 'internal_redirect_policy'), report);
  if (action.internalRedirectAction !== RouteAction_InternalRedirectAction.HANDLE_INTERNAL_REDIRECT) return undefined;
  return { maxRedirects: action.maxInternalRedirects ?? 1, statuses: [302], crossScheme: 'no', notPreviousRoutes: false, copyHeaders: [] };
}

function decodePolicy(policy: InternalRedirectPolicy, path: string, report: Report): InternalRedirectConfig {
  report.check(policyFields, policy, path);
  const conditions: Conditions = Object.assign({}, ...policy.predicates.map((predicate, i) => decodePredicate(predicate, `${path}.predicates[${i}]`, report)));
  const codes = policy.redirectResponseCodes.filter((code) => statuses.has(code));
  const copyHeaders = policy.responseHeadersToCopy.map((name, i) => {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || name.toLowerCase() === 'host') report.add(`${path}.response_headers_to_copy[${i}]`, `${JSON.stringify(name)} cannot be copied`);
    return name.toLowerCase();
  });
  return {
    maxRedirects: policy.maxInternalRedirects ?? 1,
    // Envoy ignores codes that are none of a redirect.
    statuses: policy.redirectResponseCodes.length === 0 ? [302] : codes,
    crossScheme: !policy.allowCrossSchemeRedirect ? 'no' : conditions.safeCrossScheme ? 'safe' : 'yes',
    ...(conditions.allowedRoutes && { allowedRoutes: conditions.allowedRoutes }),
    notPreviousRoutes: conditions.notPreviousRoutes ?? false,
    copyHeaders,
  };
}

function decodePredicate({ typedConfig }: TypedExtensionConfig, path: string, report: Report): Conditions {
  const at = join(path, 'typed_config');
  switch (typedConfig && typeNameOf(typedConfig)) {
    case PreviousRoutesConfigSchema.typeName: return { notPreviousRoutes: true };
    case SafeCrossSchemeConfigSchema.typeName: return { safeCrossScheme: true };
    case AllowListedRoutesConfigSchema.typeName: {
      const allowed = unpack(typedConfig!, AllowListedRoutesConfigSchema, at, report);
      if (allowed) report.check(allowedFields, allowed, at);
      return { allowedRoutes: allowed?.allowedRouteNames ?? [] };
    }
    default:
      report.add(at, typedConfig ? `no predicate reads ${typeNameOf(typedConfig)}` : 'is required');
      return {};
  }
}
