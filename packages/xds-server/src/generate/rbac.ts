// AuthorizationPolicies as RBAC filters of an inbound listener. Whatever cannot be expressed denies more, never less.
import { RBAC_Action, RBACFilterSchema, RBACNetworkSchema, type PolicySchema, type RBACSchema } from '@weft/xds-api/filter-rbac';
import type { Authorization, AuthorizationRule } from '../model/authorization.js';
import { extension, type Init } from './message.js';
import { allOf, type Condition, type RbacScope } from './rbac-condition.js';
import { destinationCondition, operationConditions, permissions, type PermissionInit } from './rbac-permission.js';
import { callerCondition, principals, sourceConditions, type PrincipalInit } from './rbac-principal.js';

type PolicyInit = Init<typeof PolicySchema>;
type Warn = (reason: string) => void;

/** In the order of evaluation (contracts.md 5). AUDIT decides nothing. */
const stages = [
  { action: 'custom', rbac: RBAC_Action.DENY, shadow: 'istio_dry_run_custom_' },
  { action: 'deny', rbac: RBAC_Action.DENY, shadow: 'istio_dry_run_deny_' },
  { action: 'allow', rbac: RBAC_Action.ALLOW, shadow: 'istio_dry_run_allow_' },
] as const;

/** One filter an action that has policies: an absent ALLOW filter means no ALLOW policy, which allows. */
export function rbacFilters(scope: RbacScope, authorizations: readonly Authorization[], warn: Warn) {
  for (const { origin, action } of authorizations) if (action === 'audit') warn(`${origin}: AUDIT has no effect`);
  return stages.flatMap(({ action, rbac, shadow }) => {
    const policies = authorizations.filter((policy) => policy.action === action);
    const enforced = policies.filter(({ dryRun }) => !dryRun);
    const dryRun = scope.profile === 'grpc' ? [] : policies.filter((policy) => policy.dryRun);
    if (scope.profile === 'grpc') for (const policy of policies) if (policy.dryRun) warn(`${policy.origin}: gRPC servers cannot try a policy without enforcing it; left out`);
    if (enforced.length + dryRun.length === 0) return [];
    const config = {
      ...(enforced.length > 0 ? { rules: rules(scope, rbac, enforced, warn) } : {}),
      ...(dryRun.length > 0 ? { shadowRules: rules(scope, rbac, dryRun, warn), shadowRulesStatPrefix: shadow } : {}),
    };
    if (scope.bytes) return [extension(`envoy.filters.network.rbac.${action.toUpperCase()}`, RBACNetworkSchema, { ...config, statPrefix: 'tcp.' })];
    return [extension(`envoy.filters.http.rbac.${action.toUpperCase()}`, RBACFilterSchema, config)];
  });
}

function rules(scope: RbacScope, action: RBAC_Action, authorizations: readonly Authorization[], warn: Warn): Init<typeof RBACSchema> {
  const policies = authorizations.flatMap((authorization) => authorizationPolicies(scope, authorization, warn));
  return { action, policies: Object.fromEntries(policies.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) };
}

function authorizationPolicies(scope: RbacScope, authorization: Authorization, warn: Warn): [string, PolicyInit][] {
  const key = (index: number) => `ns[${authorization.namespace}]-policy[${authorization.name}]-rule[${index}]`;
  const found = authorization.rules.flatMap((rule, index): [string, PolicyInit][] => {
    const policy = rulePolicy(scope, rule, authorization.action === 'allow', (reason) => warn(`${authorization.origin}: rules[${index}]: ${reason}`));
    return policy ? [[key(index), policy]] : [];
  });
  // An ALLOW policy whose rules are none, or all dropped, still has to deny: leaving it out would allow everything.
  return found.length > 0 ? found : [[key(0), { permissions: [permissions.not(permissions.any())], principals: [principals.not(principals.any())] }]];
}

function rulePolicy(scope: RbacScope, rule: AuthorizationRule, allow: boolean, warn: Warn): PolicyInit | undefined {
  const callers: Condition<PrincipalInit>[] = [];
  const destinations: Condition<PermissionInit>[] = [];
  for (const condition of rule.when) {
    const caller = callerCondition(scope, condition);
    const destination = caller ? undefined : destinationCondition(scope, condition);
    const none = condition.values.length + condition.notValues.length === 0;
    if (caller && !none) callers.push(...caller);
    else if (destination && !none) destinations.push(...destination);
    else callers.push(undefined);
  }
  const from = rule.from.length > 0 ? rule.from.map((source) => sourceConditions(scope, source, allow)) : [[]];
  const to = rule.to.length > 0 ? rule.to.map((operation) => operationConditions(scope, operation)) : [[]];
  const who = from.map((conditions) => [...conditions, ...callers]);
  const what = to.map((conditions) => [...conditions, ...destinations]);
  if ([...who, ...what].some((conditions) => conditions.some((condition) => condition === undefined))) {
    warn(allow ? 'has a field this client cannot evaluate: the rule is dropped, less is allowed' : 'has a field this client cannot evaluate: the field is dropped, more is denied');
  }
  const ids = who.map((conditions) => allOf(principals, conditions, allow));
  const operations = what.map((conditions) => allOf(permissions, conditions, allow));
  if (!ids.every((id) => id !== undefined) || !operations.every((operation) => operation !== undefined)) return undefined;
  return { permissions: operations, principals: ids };
}
