// For tests: evaluates RBAC filters (canonical JSON) as Envoy does, so that tests state who gets in rather than how it is written.
import { BlockList, isIP } from 'node:net';
import type { Json } from './fixture.js';

export interface TestRequest {
  /** SPIFFE ID of the client certificate; absent on plain text. */
  principal?: string;
  ip?: string;
  port?: number;
  method?: string;
  path?: string;
  authority?: string;
  headers?: Record<string, string>;
}

/** Whether all filters of a chain let it pass. */
export function permits(filters: Json[], request: TestRequest): boolean {
  return filters
    .filter((filter) => String(filter.typedConfig['@type']).endsWith('.RBAC'))
    .every(({ typedConfig: { rules } }) => {
      if (rules === undefined) return true;
      const matched = Object.values<Json>(rules.policies ?? {}).some(
        (policy) => policy.permissions.some((one: Json) => permission(one, request)) && policy.principals.some((one: Json) => principal(one, request)),
      );
      return rules.action === 'DENY' ? !matched : matched;
    });
}

function permission(one: Json, request: TestRequest): boolean {
  const [kind, value] = Object.entries<Json>(one)[0] ?? [];
  switch (kind) {
    case 'any':
      return value;
    case 'andRules':
      return value.rules.every((rule: Json) => permission(rule, request));
    case 'orRules':
      return value.rules.some((rule: Json) => permission(rule, request));
    case 'notRule':
      return !permission(value, request);
    case 'destinationPort':
      return value === (request.port ?? 8080);
    case 'header':
      return header(value, request);
    case 'urlPath':
      return text(value.path, (request.path ?? '/').replace(/[?#].*$/, ''));
    case 'uriTemplate': {
      const template: string = value.typedConfig.pathTemplate;
      const pattern = template.split('/').map((part) => (part === '**' ? '.*' : part === '*' ? '[^/]+' : part)).join('/');
      return new RegExp(`^${pattern}$`).test(request.path ?? '/');
    }
    default:
      throw new Error(`permission ${kind}`);
  }
}

function principal(one: Json, request: TestRequest): boolean {
  const [kind, value] = Object.entries<Json>(one)[0] ?? [];
  switch (kind) {
    case 'any':
      return value;
    case 'andIds':
      return value.ids.every((id: Json) => principal(id, request));
    case 'orIds':
      return value.ids.some((id: Json) => principal(id, request));
    case 'notId':
      return !principal(value, request);
    case 'authenticated':
      return request.principal !== undefined && text(value.principalName, request.principal);
    case 'directRemoteIp':
      return inRange(value, request.ip ?? '10.0.0.9');
    case 'header':
      return header(value, request);
    default:
      throw new Error(`principal ${kind}`);
  }
}

function header(matcher: Json, { method = 'GET', authority = 'payments', path = '/', headers = {} }: TestRequest): boolean {
  const all: Record<string, string> = { ':method': method, ':authority': authority, ':path': path, ...headers };
  const value = all[matcher.name];
  if (value === undefined) return false;
  return matcher.presentMatch === true || text(matcher.stringMatch, value);
}

function text(matcher: Json, value: string): boolean {
  const fold = (one: string) => (matcher.ignoreCase ? one.toLowerCase() : one);
  if (matcher.exact !== undefined) return fold(value) === fold(matcher.exact);
  if (matcher.prefix !== undefined) return fold(value).startsWith(fold(matcher.prefix));
  if (matcher.suffix !== undefined) return fold(value).endsWith(fold(matcher.suffix));
  const insensitive = matcher.safeRegex.regex.startsWith('(?i)');
  return new RegExp(`^(?:${matcher.safeRegex.regex.replace('(?i)', '')})$`, insensitive ? 'i' : '').test(value);
}

function inRange({ addressPrefix, prefixLen }: Json, ip: string): boolean {
  const family = isIP(addressPrefix) === 6 ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  list.addSubnet(addressPrefix, prefixLen ?? 0, family);
  return list.check(ip, isIP(ip) === 6 ? 'ipv6' : 'ipv4');
}
