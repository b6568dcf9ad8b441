// envoy.filters.network.rbac: who may open a connection. Judged when it opens, which is before Envoy does (at the first byte):
// the facts are the same, and a server that speaks first tells nothing to strangers.
import { HeaderMap } from '../../stream/header-map.js';
import type { RequestHead } from '../../stream/request-head.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import type { RbacEngine } from '../rbac/engine.js';

export interface NetworkRbacConfig {
  rules?: RbacEngine;
  shadowRules?: RbacEngine;
  shadowPrefix: string;
}

/** A connection has no head: a rule that asks for one does not match, as in Envoy. */
const noHead: RequestHead = { protocol: 'http', method: '', scheme: 'http', authority: '', path: '', headers: new HeaderMap() };

/** Why the connection may not be, as Envoy's access log says it; undefined where it may. */
export function judgeConnection(filters: readonly NetworkRbacConfig[], info: StreamInfo): string | undefined {
  for (const { rules, shadowRules, shadowPrefix } of filters) {
    if (shadowRules) {
      const { allowed, policy } = shadowRules.evaluate(noHead, info);
      info.metadata ??= new Map();
      info.metadata.set('envoy.filters.network.rbac', { ...info.metadata.get('envoy.filters.network.rbac'), [`${shadowPrefix}shadow_engine_result`]: allowed ? 'allowed' : 'denied', ...(policy !== undefined && { [`${shadowPrefix}shadow_effective_policy_id`]: policy }) });
    }
    const verdict = rules?.evaluate(noHead, info);
    if (verdict && !verdict.allowed) return `rbac_access_denied_matched_policy[${verdict.policy ?? 'none'}]`;
  }
  return undefined;
}
