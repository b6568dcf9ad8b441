// hash_policy: what ring hash and maglev keep together.
import { RouteAction_HashPolicy_CookieSchema, RouteAction_HashPolicySchema, type RouteAction_HashPolicy } from '@weft/xds-api/route';
import { decodeRegexRewrite } from './matcher.js';
import { join, knownFields, type Report } from './report.js';
import type { HashPolicyConfig } from './route-config.js';
import { durationMs } from './value.js';

const hashFields = knownFields(RouteAction_HashPolicySchema, ['header', 'cookie', 'connection_properties', 'query_parameter', 'filter_state', 'terminal']);
const cookieFields = knownFields(RouteAction_HashPolicy_CookieSchema, ['name', 'ttl', 'path', 'attributes']);

export function decodeHashPolicy(policy: RouteAction_HashPolicy, path: string, report: Report): HashPolicyConfig | undefined {
  report.check(hashFields, policy, path);
  const { policySpecifier: specifier, terminal } = policy;
  switch (specifier.case) {
    case 'header': {
      const { headerName, regexRewrite } = specifier.value;
      if (headerName === '') report.add(join(path, 'header.header_name'), 'must not be empty');
      return { kind: 'header', name: headerName.toLowerCase(), ...(regexRewrite && { rewrite: decodeRegexRewrite(regexRewrite, join(path, 'header.regex_rewrite'), report) }), terminal };
    }
    case 'cookie': {
      report.check(cookieFields, specifier.value, join(path, 'cookie'));
      const ttlMs = durationMs(specifier.value.ttl, join(path, 'cookie.ttl'), report);
      if (specifier.value.name === '') report.add(join(path, 'cookie.name'), 'must not be empty');
      const attributes = specifier.value.attributes.map(({ name, value }, i) => {
        if (name === '' || /[;\r\n\0=]/.test(name) || /[;\r\n\0]/.test(value)) report.add(`${path}.cookie.attributes[${i}]`, 'is no attribute of a cookie');
        return { name, value };
      });
      return { kind: 'cookie', name: specifier.value.name, path: specifier.value.path, ...(ttlMs !== undefined && { ttlMs }), ...(attributes.length > 0 && { attributes }), terminal };
    }
    case 'connectionProperties':
      return specifier.value.sourceIp ? { kind: 'source-ip', terminal } : undefined;
    case 'queryParameter':
      return { kind: 'query-parameter', name: specifier.value.name, terminal };
    case 'filterState':
      return { kind: 'filter-state', key: specifier.value.key, terminal };
    default:
      report.add(path, 'one of header, cookie, connection_properties, query_parameter, filter_state is required');
      return undefined;
  }
}
