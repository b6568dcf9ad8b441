// Which filter chain a connection belongs to, as Envoy decides it (FilterChainMatch): criterion by criterion the most specific match
// wins, without going back. Nothing left: the default chain, or the connection is refused.
import type { FilterChainConfig } from '../resource/listener-config.js';
import { compileCidr } from './cidr.js';
import type { ConnectionInfo } from './inbound-port.js';

/** How specific a match is; undefined = does not match. */
type Criterion = (match: FilterChainConfig['match'], connection: ConnectionInfo) => number | undefined;

const criteria: readonly Criterion[] = [
  ({ destinationPort }, { localPort }) => (destinationPort === undefined ? 0 : destinationPort === localPort ? 1 : undefined),
  ({ prefixRanges }, { localAddress }) => longestPrefix(prefixRanges, localAddress),
  ({ serverNames }, { requestedServerName }) => serverName(serverNames, requestedServerName),
  ({ transportProtocol }, { tls }) => (transportProtocol === '' ? 0 : transportProtocol === (tls ? 'tls' : 'raw_buffer') ? 1 : undefined),
  ({ applicationProtocols }, { applicationProtocol }) => (applicationProtocols.length === 0 ? 0 : applicationProtocols.includes(applicationProtocol) ? 1 : undefined),
  ({ sourceType }, connection) => (sourceType === 'any' ? 0 : (sourceType === 'same-ip-or-loopback') === isLocal(connection) ? 1 : undefined),
  ({ sourcePrefixRanges }, { remoteAddress }) => longestPrefix(sourcePrefixRanges, remoteAddress),
  ({ sourcePorts }, { remotePort }) => (sourcePorts.length === 0 ? 0 : sourcePorts.includes(remotePort) ? 1 : undefined),
];

export function matchFilterChain<T extends { readonly config: Pick<FilterChainConfig, 'match'> }>(chains: readonly T[], connection: ConnectionInfo): T | undefined {
  let left = chains;
  for (const criterion of criteria) {
    let best = -1;
    let kept: T[] = [];
    for (const chain of left) {
      const rank = criterion(chain.config.match, connection) ?? -1;
      if (rank > best) [best, kept] = [rank, [chain]];
      else if (rank === best && rank >= 0) kept.push(chain);
    }
    left = kept;
  }
  return left[0];
}

function longestPrefix(ranges: readonly { address: string; prefixLength: number }[], address: string): number | undefined {
  if (ranges.length === 0) return 0;
  const longest = Math.max(...ranges.map((range) => (compileCidr(range)(address) ? range.prefixLength + 1 : -1)));
  return longest === -1 ? undefined : longest;
}

function serverName(names: readonly string[], requested: string): number | undefined {
  if (names.length === 0) return 0;
  const lower = requested.toLowerCase();
  const ranks = names.map((name) => (name === lower ? Infinity : name.startsWith('*.') && lower.endsWith(name.slice(1)) ? name.length : -1));
  const best = Math.max(...ranks);
  return best === -1 ? undefined : best;
}

function isLocal({ remoteAddress, localAddress }: ConnectionInfo): boolean {
  return remoteAddress === localAddress || remoteAddress === '::1' || remoteAddress.startsWith('127.');
}
