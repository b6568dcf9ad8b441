// What is called: AuthorizationPolicy `to` and the destination half of `when`, as RBAC permissions.
import { UriTemplateMatchConfigSchema, type PermissionSchema } from '@weft/xds-api/filter-rbac';
import type { AuthorizationCondition, AuthorizationOperation } from '../model/authorization.js';
import { extension, type Init } from './message.js';
import { cidr, field, headerCondition, hostMatchers, wildcardMatcher, type Algebra, type Condition, type RbacScope } from './rbac-condition.js';

export type PermissionInit = Init<typeof PermissionSchema>;

export const permissions: Algebra<PermissionInit> = {
  any: () => ({ rule: { case: 'any', value: true } }),
  and: (rules) => ({ rule: { case: 'andRules', value: { rules } } }),
  or: (rules) => ({ rule: { case: 'orRules', value: { rules } } }),
  not: (value) => ({ rule: { case: 'notRule', value } }),
};

export function operationConditions(scope: RbacScope, operation: AuthorizationOperation): Condition<PermissionInit>[] {
  return [
    ...field(permissions, operation.hosts, operation.notHosts, (value) => (scope.bytes ? undefined : host(value))),
    ...field(permissions, operation.ports.map(String), operation.notPorts.map(String), (value) => port(scope, value)),
    ...field(permissions, operation.methods, operation.notMethods, (value) => (scope.bytes ? undefined : method(value))),
    ...field(permissions, operation.paths, operation.notPaths, (value) => path(scope, value)),
  ];
}

/** The conditions of `when` on this side; undefined where the key is not about it. */
export function destinationCondition(scope: RbacScope, { key, values, notValues }: AuthorizationCondition): Condition<PermissionInit>[] | undefined {
  const one = destinationKeys[key];
  return one && field(permissions, values, notValues, (value) => one(value, scope));
}

const destinationKeys: Readonly<Record<string, (value: string, scope: RbacScope) => Condition<PermissionInit>>> = {
  'destination.ip': (value) => {
    const range = cidr(value);
    return range && { rule: { case: 'destinationIp', value: range } };
  },
  'destination.port': (value, scope) => port(scope, value),
  // gRPC servers never see the server name.
  'connection.sni': (value, { profile }) =>
    profile === 'grpc' ? undefined : value === '*' ? sni({ matchPattern: { case: 'safeRegex', value: { regex: '.+' } } }) : sni(wildcardMatcher(value)),
};

function sni(value: ReturnType<typeof wildcardMatcher>): PermissionInit {
  return { rule: { case: 'requestedServerName', value } };
}

function host(value: string): PermissionInit {
  if (value === '*') return { rule: { case: 'header', value: headerCondition(':authority', '*') } };
  const [first, ...more] = hostMatchers(value).map(
    (matcher): PermissionInit => ({ rule: { case: 'header', value: { name: ':authority', headerMatchSpecifier: { case: 'stringMatch', value: matcher } } } }),
  );
  return first && more.length === 0 ? first : permissions.or([...(first ? [first] : []), ...more]);
}

function port({ localPort }: RbacScope, value: string): Condition<PermissionInit> {
  if (!/^[1-9]\d{0,4}$/.test(value)) return undefined;
  return { rule: { case: 'destinationPort', value: localPort(Number(value)) } };
}

function method(value: string): PermissionInit {
  return { rule: { case: 'header', value: headerCondition(':method', value) } };
}

function path({ profile, bytes }: RbacScope, value: string): Condition<PermissionInit> {
  if (bytes) return undefined;
  // Every request has a path.
  if (value === '*') return permissions.any();
  if (!/\{\*{1,2}\}/.test(value)) return { rule: { case: 'urlPath', value: { rule: { case: 'path', value: wildcardMatcher(value) } } } };
  if (profile === 'grpc') return undefined;
  const pathTemplate = value.replace(/\{(\*{1,2})\}/g, '$1');
  const { name, configType } = extension('envoy.path.match.uri_template.uri_template_matcher', UriTemplateMatchConfigSchema, { pathTemplate });
  return { rule: { case: 'uriTemplate', value: { name, typedConfig: configType.value } } };
}
