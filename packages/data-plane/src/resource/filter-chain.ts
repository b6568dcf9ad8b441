// Filter chains of server listeners: when they match, their TLS, their HttpConnectionManager.
import { isIP } from 'node:net';
import { CidrRangeSchema, type CidrRange } from '@weft/xds-api/core';
import { FilterChainMatch_ConnectionSourceType as SourceType, FilterChainMatchSchema, FilterChainSchema, type FilterChain, type FilterChainMatch } from '@weft/xds-api/listener';
import type { HttpFilterRegistry, Side } from './http-filter.js';
import type { FilterChainConfig } from './listener-config.js';
import { decodeNetworkFilters } from './network-filters.js';
import { join, knownFields, type Report } from './report.js';
import { decodeDownstreamTls, type CertificateProviders } from './tls.js';

const chainFields = knownFields(FilterChainSchema, ['filter_chain_match', 'filters', 'transport_socket', 'name'], ['metadata', 'transport_socket_connect_timeout']);
const matchFields = knownFields(FilterChainMatchSchema, ['destination_port', 'prefix_ranges', 'source_type', 'source_prefix_ranges', 'source_ports', 'server_names', 'transport_protocol', 'application_protocols']);
const cidrFields = knownFields(CidrRangeSchema, ['address_prefix', 'prefix_len']);

const matchAll: FilterChainConfig['match'] = { prefixRanges: [], serverNames: [], transportProtocol: '', applicationProtocols: [], sourceType: 'any', sourcePrefixRanges: [], sourcePorts: [] };

export function decodeFilterChains(chains: readonly FilterChain[], side: Side, registry: HttpFilterRegistry, providers: CertificateProviders, report: Report): FilterChainConfig[] {
  const matches = new Set<string>();
  return chains.flatMap((chain, i) => {
    const path = `filter_chains[${i}]`;
    const decoded = decodeFilterChain(chain, side, registry, providers, path, report);
    if (!decoded) return [];
    const key = JSON.stringify(decoded.match);
    // Two chains for the same connections: which one counts would be chance.
    if (matches.has(key)) report.add(join(path, 'filter_chain_match'), 'the same as that of an earlier filter chain');
    matches.add(key);
    return [decoded];
  });
}

export function decodeFilterChain(chain: FilterChain, side: Side, registry: HttpFilterRegistry, providers: CertificateProviders, path: string, report: Report): FilterChainConfig | undefined {
  report.check(chainFields, chain, path);
  const match = chain.filterChainMatch ? decodeMatch(chain.filterChainMatch, join(path, 'filter_chain_match'), report) : matchAll;
  const filters = decodeNetworkFilters(chain.filters, side, registry, join(path, 'filters'), report);
  const tls = decodeDownstreamTls(chain.transportSocket, join(path, 'transport_socket'), providers, report);
  return match && filters && { name: chain.name, match, ...(tls && { tls }), ...filters };
}

/** Undefined for a chain that no connection of ours can match (QUIC). */
function decodeMatch(match: FilterChainMatch, path: string, report: Report): FilterChainConfig['match'] | undefined {
  report.check(matchFields, match, path);
  const { transportProtocol } = match;
  if (transportProtocol !== '' && transportProtocol !== 'raw_buffer' && transportProtocol !== 'tls') return undefined;
  return {
    ...(match.destinationPort !== undefined && { destinationPort: match.destinationPort }),
    prefixRanges: match.prefixRanges.map((range, i) => decodeCidr(range, `${path}.prefix_ranges[${i}]`, report)),
    serverNames: match.serverNames.map((name) => name.toLowerCase()),
    transportProtocol,
    applicationProtocols: match.applicationProtocols,
    sourceType: sourceType(match.sourceType, join(path, 'source_type'), report),
    sourcePrefixRanges: match.sourcePrefixRanges.map((range, i) => decodeCidr(range, `${path}.source_prefix_ranges[${i}]`, report)),
    sourcePorts: match.sourcePorts,
  };
}

function sourceType(type: SourceType, path: string, report: Report): FilterChainConfig['match']['sourceType'] {
  switch (type) {
    case SourceType.ANY:
      return 'any';
    case SourceType.SAME_IP_OR_LOOPBACK:
      return 'same-ip-or-loopback';
    case SourceType.EXTERNAL:
      return 'external';
    default:
      report.add(path, `unknown value ${type as number}`);
      return 'any';
  }
}

function decodeCidr(range: CidrRange, path: string, report: Report): { address: string; prefixLength: number } {
  report.check(cidrFields, range, path);
  const family = isIP(range.addressPrefix);
  const longest = family === 6 ? 128 : 32;
  const prefixLength = range.prefixLen ?? 0;
  if (family === 0) report.add(join(path, 'address_prefix'), `${JSON.stringify(range.addressPrefix)} is not an IP address`);
  else if (prefixLength > longest) report.add(join(path, 'prefix_len'), `must be 0 to ${longest}`);
  return { address: range.addressPrefix, prefixLength };
}
