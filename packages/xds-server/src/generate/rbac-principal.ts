// Who calls: AuthorizationPolicy `from` and the source half of `when`, as RBAC principals.
import type { PrincipalSchema } from '@weft/xds-api/filter-rbac';
import type { AuthorizationCondition, AuthorizationSource } from '../model/authorization.js';
import type { Init } from './message.js';
import { cidr, field, headerCondition, type Algebra, type Condition, type RbacScope } from './rbac-condition.js';
import { escapeRegex, exactMatcher, regexMatcher, type StringMatcherInit } from './string-match.js';

export type PrincipalInit = Init<typeof PrincipalSchema>;

export const principals: Algebra<PrincipalInit> = {
  any: () => ({ identifier: { case: 'any', value: true } }),
  and: (ids) => ({ identifier: { case: 'andIds', value: { ids } } }),
  or: (ids) => ({ identifier: { case: 'orIds', value: { ids } } }),
  not: (value) => ({ identifier: { case: 'notId', value } }),
};

/** @param allow the policy's action is ALLOW. */
export function sourceConditions(scope: RbacScope, source: AuthorizationSource, allow: boolean): Condition<PrincipalInit>[] {
  const negative = source.notPrincipals.length + source.notNamespaces.length + source.notServiceAccounts.length > 0;
  return [
    ...field(principals, source.principals, source.notPrincipals, (value) => principal(scope, value)),
    ...field(principals, source.namespaces, source.notNamespaces, namespace),
    ...field(principals, source.serviceAccounts, source.notServiceAccounts, serviceAccount),
    ...field(principals, source.ipBlocks, source.notIpBlocks, (value) => address('directRemoteIp', value)),
    // "Not alice" must not admit whoever shows no identity at all (ISTIO-SECURITY-2021-004).
    ...(negative && allow ? [anyIdentity()] : []),
  ];
}

/** The conditions of `when` on the caller; undefined where the key is not about the caller. */
export function callerCondition(scope: RbacScope, { key, values, notValues }: AuthorizationCondition): Condition<PrincipalInit>[] | undefined {
  const header = /^request\.headers\[([^\]]+)\]$/.exec(key)?.[1]?.toLowerCase();
  if (header !== undefined) return field(principals, values, notValues, (value) => headerPrincipal(scope, header, value));
  const one = callerKeys[key];
  return one && field(principals, values, notValues, (value) => one(value, scope));
}

const callerKeys: Readonly<Record<string, (value: string, scope: RbacScope) => Condition<PrincipalInit>>> = {
  'source.ip': (value) => address('directRemoteIp', value),
  'remote.ip': (value) => address('remoteIp', value),
  'source.namespace': namespace,
  'source.principal': (value, scope) => principal(scope, value),
  'source.serviceAccount': serviceAccount,
  'source.trustDomain': (value) => authenticated(regexMatcher(`spiffe://${wildcard(value)}/.+`)),
};

function principal({ trustDomain }: RbacScope, value: string): PrincipalInit {
  if (value === '*') return anyIdentity();
  if (value.startsWith('*')) return authenticated(regexMatcher(`spiffe://.*${escapeRegex(value.slice(1))}`));
  // `cluster.local` is the name for the mesh's own trust domain, whatever it is really called.
  const id = `spiffe://${value.replace(/^cluster\.local\//, `${trustDomain}/`)}`;
  return authenticated(id.endsWith('*') ? { matchPattern: { case: 'prefix', value: id.slice(0, -1) } } : exactMatcher(id));
}

/** Whole path segments, so that a namespace inside another segment of an ID is not taken for the caller's. */
function namespace(value: string): PrincipalInit {
  return authenticated(regexMatcher(`spiffe://[^/]+/ns/${wildcard(value)}/.+`));
}

/** `namespace/account`, no wildcards. */
function serviceAccount(value: string): Condition<PrincipalInit> {
  const [ns, account, ...rest] = value.split('/');
  if (!ns || !account || rest.length > 0) return undefined;
  return authenticated(regexMatcher(`spiffe://[^/]+/ns/${escapeRegex(ns)}/sa/${escapeRegex(account)}`));
}

function headerPrincipal({ profile, bytes }: RbacScope, name: string, value: string): Condition<PrincipalInit> {
  if (bytes) return undefined;
  // gRPC refuses these inside RBAC (gRFC A41).
  if (profile === 'grpc' && (name.startsWith('grpc-') || name === ':scheme')) return undefined;
  return { identifier: { case: 'header', value: headerCondition(name, value) } };
}

function address(kind: 'directRemoteIp' | 'remoteIp', block: string): Condition<PrincipalInit> {
  const value = cidr(block);
  return value && { identifier: { case: kind, value } };
}

function anyIdentity(): PrincipalInit {
  return authenticated({ matchPattern: { case: 'prefix', value: 'spiffe://' } });
}

function authenticated(principalName: StringMatcherInit): PrincipalInit {
  return { identifier: { case: 'authenticated', value: { principalName } } };
}

/** One path segment. */
function wildcard(value: string): string {
  if (value === '*') return '[^/]+';
  if (value.endsWith('*')) return `${escapeRegex(value.slice(0, -1))}[^/]*`;
  return value.startsWith('*') ? `[^/]*${escapeRegex(value.slice(1))}` : escapeRegex(value);
}
