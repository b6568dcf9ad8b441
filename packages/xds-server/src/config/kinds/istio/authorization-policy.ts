import type { Authorization } from '../../../model/authorization.js';
import type { ConfigKind } from '../../config-kind.js';
import type { Fields } from '../../fields.js';
import { modelBase, readMatchLabels } from '../../names.js';
import { istioVersions, readSpec, security } from './api.js';
import { readAuthorizationRule } from './authorization-rule.js';

const actions = { ALLOW: 'allow', DENY: 'deny', AUDIT: 'audit', CUSTOM: 'custom' } as const;

/** AuthorizationPolicy (istio-envoy.md 1.4): who may do what. */
export const authorizationPolicy: ConfigKind = {
  group: security,
  kind: 'AuthorizationPolicy',
  versions: istioVersions,
  namespaced: true,
  normalize(object, context) {
    const { namespace, annotations } = object.metadata;
    const spec = readSpec(object, context, { optional: true });
    const selector = readMatchLabels(spec, 'selector');
    const action = actions[spec.oneOf('action', Object.keys(actions) as (keyof typeof actions)[]) ?? 'ALLOW'];
    const rules = spec.list('rules').flatMap((fields) => readAuthorizationRule(fields, { action, namespace }) ?? []);
    const provider = readProvider(spec, action);
    // Without its target a policy would apply to other workloads than it was written for.
    for (const name of ['targetRef', 'targetRefs']) if (spec.has(name)) spec.error(name, 'is not implemented: use selector');
    spec.finish();
    if (action === 'custom') spec.warn('action', 'CUSTOM providers are not implemented: everything the rules match is denied');
    if (action === 'audit') spec.warn('action', 'AUDIT is not implemented: it never decides, and nothing is recorded');
    const policy: Authorization = { ...modelBase(object), type: 'authorization', action, dryRun: annotations['istio.io/dry-run'] === 'true', rules };
    return [{ ...policy, ...(selector && { selector }), ...(provider && { provider }) }];
  },
};

function readProvider(spec: Fields, action: Authorization['action']): string | undefined {
  const fields = spec.object('provider');
  const name = fields?.requiredString('name');
  fields?.finish();
  if (action === 'custom' && !fields) spec.error('provider', 'is required with CUSTOM');
  if (action !== 'custom' && fields) spec.error('provider', 'is for CUSTOM only');
  return name;
}
