// Whether a request may change its protocol (Envoy's upgrade_configs): the route's word, else the listener's, else no.
import type { RouteActionConfig, UpgradesConfig } from '../resource/route-config.js';
import type { LocalReply } from '../stream/local-reply.js';

export function upgradeAllowed(type: string, listener: UpgradesConfig | undefined, action: RouteActionConfig): boolean {
  const lower = type.toLowerCase();
  const own = action.kind === 'route' ? action.upgrades?.get(lower) : undefined;
  return own ?? listener?.get(lower) ?? false;
}

export const upgradeRefused: LocalReply = { status: 403, grpcStatus: 7, body: '', details: 'upgrade_failed' };
