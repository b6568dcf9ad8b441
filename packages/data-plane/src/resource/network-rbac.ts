import { RBAC_EnforcementType as Enforcement, RBACNetworkSchema, type RBACNetwork } from '@weft/xds-api/filter-rbac';
import type { NetworkRbacConfig } from '../filter/network/rbac.js';
import { RbacEngine } from '../filter/rbac/engine.js';
import { decodeRbac } from '../filter/rbac/policy.js';
import { join, knownFields, type Report } from './report.js';

const fields = knownFields(RBACNetworkSchema, ['rules', 'shadow_rules', 'shadow_rules_stat_prefix', 'enforcement_type'], ['stat_prefix']);

export function decodeNetworkRbac(message: RBACNetwork, path: string, report: Report): NetworkRbacConfig {
  report.check(fields, message, path);
  if (message.enforcementType !== Enforcement.ONE_TIME_ON_FIRST_BYTE && message.enforcementType !== Enforcement.CONTINUOUS) report.add(join(path, 'enforcement_type'), `unknown value ${message.enforcementType as number}`);
  const engine = (rules: RBACNetwork['rules'], name: string) => {
    const config = rules && decodeRbac(rules, join(path, name), report);
    return config && report.problems.length === 0 ? report.attempt(join(path, name), () => new RbacEngine(config)) : undefined;
  };
  const rules = engine(message.rules, 'rules');
  const shadowRules = engine(message.shadowRules, 'shadow_rules');
  return { ...(rules && { rules }), ...(shadowRules && { shadowRules }), shadowPrefix: message.shadowRulesStatPrefix };
}
