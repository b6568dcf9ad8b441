// envoy.config.rbac.v3.RBAC, decoded. Whatever we cannot evaluate rejects the configuration: a deny rule that never matches would
// let through what it was written to stop.
import {
  PermissionSchema, PolicySchema, Principal_AuthenticatedSchema, PrincipalSchema, RBAC_Action, RBACSchema, UriTemplateMatchConfigSchema,
  type Permission, type Policy, type Principal, type RBAC,
} from '@weft/xds-api/filter-rbac';
import { PathMatcherSchema, type CidrRange, type PathMatcher } from '@weft/xds-api/core';
import { unpackAny } from '@weft/xds-api';
import { isIP } from 'node:net';
import { decodeHeaderMatcher, decodeStringMatcher } from '../../resource/matcher.js';
import type { HeaderMatcherConfig, MetadataMatcherConfig, StringMatcherConfig } from '../../resource/matcher-config.js';
import { decodeMetadataMatcher } from '../../resource/metadata-matcher.js';
import { join, knownFields, type Report } from '../../resource/report.js';

export interface RbacConfig {
  action: 'allow' | 'deny' | 'log';
  /** In lexical order of their names, which is the order of evaluation. */
  policies: readonly PolicyConfig[];
}

export interface PolicyConfig {
  name: string;
  permissions: readonly RuleConfig[];
  principals: readonly RuleConfig[];
}

/** A permission or a principal: what differs between them is only where they stand. */
export type RuleConfig =
  | { kind: 'any' }
  | { kind: 'and' | 'or'; rules: readonly RuleConfig[] }
  | { kind: 'not'; rule: RuleConfig }
  | { kind: 'header'; matcher: HeaderMatcherConfig }
  | { kind: 'path'; matcher: StringMatcherConfig }
  | { kind: 'uri-template'; template: string }
  /** Dynamic metadata, which filters before this one wrote. */
  | { kind: 'metadata'; matcher: MetadataMatcherConfig }
  | { kind: 'server-name'; matcher: StringMatcherConfig }
  | { kind: 'destination-ip' | 'remote-ip' | 'direct-remote-ip'; address: string; prefixLength: number }
  | { kind: 'destination-port'; start: number; end: number }
  /** Without matcher: anyone with a verified identity. */
  | { kind: 'authenticated'; matcher?: StringMatcherConfig };

const rbacFields = knownFields(RBACSchema, ['action', 'policies']);
const policyFields = knownFields(PolicySchema, ['permissions', 'principals']);
const permissionFields = knownFields(PermissionSchema, ['and_rules', 'or_rules', 'any', 'header', 'url_path', 'destination_ip', 'destination_port', 'destination_port_range', 'metadata', 'not_rule', 'requested_server_name', 'uri_template']);
const principalFields = knownFields(PrincipalSchema, ['and_ids', 'or_ids', 'any', 'authenticated', 'source_ip', 'direct_remote_ip', 'remote_ip', 'header', 'url_path', 'metadata', 'not_id']);
const authenticatedFields = knownFields(Principal_AuthenticatedSchema, ['principal_name']);
const pathFields = knownFields(PathMatcherSchema, ['path']);

const actions = { [RBAC_Action.ALLOW]: 'allow', [RBAC_Action.DENY]: 'deny', [RBAC_Action.LOG]: 'log' } as const;

// Stands for what was refused; the report keeps the configuration from being used.
const refused: RuleConfig = { kind: 'any' };

export function decodeRbac(rbac: RBAC, path: string, report: Report): RbacConfig {
  report.check(rbacFields, rbac, path);
  const action = actions[rbac.action];
  if (!action) report.add(join(path, 'action'), `unknown action ${rbac.action}`);
  const names = Object.keys(rbac.policies).sort();
  return { action: action ?? 'deny', policies: names.map((name) => decodePolicy(name, rbac.policies[name] as Policy, `${join(path, 'policies')}[${JSON.stringify(name)}]`, report)) };
}

function decodePolicy(name: string, policy: Policy, path: string, report: Report): PolicyConfig {
  report.check(policyFields, policy, path);
  if (policy.permissions.length === 0) report.add(join(path, 'permissions'), 'must not be empty');
  if (policy.principals.length === 0) report.add(join(path, 'principals'), 'must not be empty');
  return {
    name,
    permissions: policy.permissions.map((permission, i) => decodePermission(permission, join(path, `permissions[${i}]`), report)),
    principals: policy.principals.map((principal, i) => decodePrincipal(principal, join(path, `principals[${i}]`), report)),
  };
}

function decodePermission(permission: Permission, path: string, report: Report): RuleConfig {
  report.check(permissionFields, permission, path);
  const { rule } = permission;
  switch (rule.case) {
    case 'andRules':
    case 'orRules': {
      const name = rule.case === 'andRules' ? 'and' : 'or';
      return list(name, rule.value.rules.map((item, i) => decodePermission(item, `${join(path, `${name}_rules`)}.rules[${i}]`, report)), path, report);
    }
    case 'any': return any(rule.value, path, report);
    case 'header': return { kind: 'header', matcher: decodeHeaderMatcher(rule.value, join(path, 'header'), report) };
    case 'urlPath': return urlPath(rule.value, join(path, 'url_path'), report);
    case 'destinationIp': return cidr('destination-ip', rule.value, join(path, 'destination_ip'), report);
    case 'destinationPort': return { kind: 'destination-port', start: rule.value, end: rule.value + 1 };
    case 'destinationPortRange': return { kind: 'destination-port', start: rule.value.start, end: rule.value.end };
    case 'metadata': return { kind: 'metadata', matcher: decodeMetadataMatcher(rule.value, join(path, 'metadata'), report) };
    case 'notRule': return { kind: 'not', rule: decodePermission(rule.value, join(path, 'not_rule'), report) };
    case 'requestedServerName': return { kind: 'server-name', matcher: decodeStringMatcher(rule.value, join(path, 'requested_server_name'), report) };
    case 'uriTemplate': {
      const at = join(path, 'uri_template.typed_config');
      const config = report.attempt(at, () => unpackAny(rule.value.typedConfig, UriTemplateMatchConfigSchema));
      if (!config) report.add(at, 'must be a UriTemplateMatchConfig');
      return { kind: 'uri-template', template: config?.pathTemplate ?? '' };
    }
    default: return unknown(rule.case, path, report);
  }
}

function decodePrincipal(principal: Principal, path: string, report: Report): RuleConfig {
  report.check(principalFields, principal, path);
  const { identifier } = principal;
  switch (identifier.case) {
    case 'andIds':
    case 'orIds': {
      const name = identifier.case === 'andIds' ? 'and' : 'or';
      return list(name, identifier.value.ids.map((item, i) => decodePrincipal(item, `${join(path, `${name}_ids`)}.ids[${i}]`, report)), path, report);
    }
    case 'any': return any(identifier.value, path, report);
    case 'authenticated': {
      const at = join(path, 'authenticated');
      report.check(authenticatedFields, identifier.value, at);
      const name = identifier.value.principalName;
      return name ? { kind: 'authenticated', matcher: decodeStringMatcher(name, join(at, 'principal_name'), report) } : { kind: 'authenticated' };
    }
    // The peer of the socket is all three, but where a PROXY protocol header tells who is behind it; x-forwarded-for is only what the peer says.
    case 'sourceIp': return cidr('remote-ip', identifier.value, join(path, 'source_ip'), report);
    case 'directRemoteIp': return cidr('direct-remote-ip', identifier.value, join(path, 'direct_remote_ip'), report);
    case 'remoteIp': return cidr('remote-ip', identifier.value, join(path, 'remote_ip'), report);
    case 'header': return { kind: 'header', matcher: decodeHeaderMatcher(identifier.value, join(path, 'header'), report) };
    case 'urlPath': return urlPath(identifier.value, join(path, 'url_path'), report);
    case 'metadata': return { kind: 'metadata', matcher: decodeMetadataMatcher(identifier.value, join(path, 'metadata'), report) };
    case 'notId': return { kind: 'not', rule: decodePrincipal(identifier.value, join(path, 'not_id'), report) };
    default: return unknown(identifier.case, path, report);
  }
}

function list(kind: 'and' | 'or', rules: RuleConfig[], path: string, report: Report): RuleConfig {
  if (rules.length === 0) report.add(path, `an empty ${kind} is not allowed`);
  return { kind, rules };
}

function any(value: boolean, path: string, report: Report): RuleConfig {
  if (!value) report.add(join(path, 'any'), 'must be true');
  return { kind: 'any' };
}

function urlPath(matcher: PathMatcher, path: string, report: Report): RuleConfig {
  report.check(pathFields, matcher, path);
  if (matcher.rule.case !== 'path') {
    report.add(join(path, 'path'), 'is required');
    return refused;
  }
  return { kind: 'path', matcher: decodeStringMatcher(matcher.rule.value, join(path, 'path'), report) };
}

function cidr(kind: 'destination-ip' | 'remote-ip' | 'direct-remote-ip', { addressPrefix, prefixLen }: CidrRange, path: string, report: Report): RuleConfig {
  const family = isIP(addressPrefix);
  if (family === 0) report.add(join(path, 'address_prefix'), `${JSON.stringify(addressPrefix)} is not an IP address`);
  // Without a length Envoy takes 0: every address. That is what the message says, so it stands.
  const prefixLength = prefixLen ?? 0;
  if (prefixLength > (family === 4 ? 32 : 128)) report.add(join(path, 'prefix_len'), `${prefixLength} is too long`);
  return { kind, address: addressPrefix, prefixLength };
}

// Fields with a name were reported by `check`; a rule without any, or with one of a newer Envoy, was not.
function unknown(name: string | undefined, path: string, report: Report): RuleConfig {
  if (name === undefined) report.add(path, 'has no rule that this version of Weft knows');
  return refused;
}
