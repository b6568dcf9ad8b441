// What a dialled name means whose bytes are carried as they are.
import type { OutboundTcpChainConfig } from '../resource/listener-config.js';
import type { TcpProxyConfig } from '../resource/tcp-proxy.js';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';

export interface OutboundTcpSnapshot {
  readonly name: string;
  readonly chains: readonly OutboundTcpChainConfig[];
  readonly clusters: ReadonlyMap<string, UpstreamCluster>;
  readonly missing: ReadonlyMap<string, Error>;
}

/** The chain of this server name, of the longest wildcard that covers it, or the one that asks for none (FilterChainMatch). */
export function selectTcpProxy({ chains }: OutboundTcpSnapshot, serverName: string): TcpProxyConfig | undefined {
  const name = serverName.toLowerCase();
  let best: OutboundTcpChainConfig | undefined;
  let rank = -1;
  for (const chain of chains) {
    const own = chain.serverNames.length === 0 ? 0 : Math.max(...chain.serverNames.map((pattern) => rankOf(pattern, name)));
    if (own > rank) [best, rank] = [chain, own];
  }
  return best?.proxy;
}

function rankOf(pattern: string, name: string): number {
  if (pattern === name) return Infinity;
  return pattern.startsWith('*.') && name.endsWith(pattern.slice(1)) ? pattern.length : -1;
}
