import { describe, expect, it } from 'vitest';
import type { FilterChainConfig } from '../resource/listener-config.js';
import { matchFilterChain } from './filter-chain-matcher.js';
import { testConnection } from './testing.js';

type Match = FilterChainConfig['match'];
const all: Match = { prefixRanges: [], serverNames: [], transportProtocol: '', applicationProtocols: [], sourceType: 'any', sourcePrefixRanges: [], sourcePorts: [] };
const cidr = (address: string, prefixLength: number) => ({ address, prefixLength });
const pick = (matches: Partial<Match>[], connection: Parameters<typeof testConnection>[0] = {}) => {
  const chains = matches.map((match) => ({ config: { match: { ...all, ...match } } }));
  const found = matchFilterChain(chains, testConnection(connection));
  return found ? chains.indexOf(found) : undefined;
};

describe('the filter chain of a connection', () => {
  it.each<[string, Partial<Match>[], Parameters<typeof testConnection>[0], number | undefined]>([
    ['a chain without criteria takes everything', [{}], {}, 0],
    ['no chain, no connection', [{ transportProtocol: 'tls' }], {}, undefined],
    ['transport protocol', [{ transportProtocol: 'tls' }, { transportProtocol: 'raw_buffer' }], { tls: true }, 0],
    ['raw_buffer before one for any transport', [{}, { transportProtocol: 'raw_buffer' }], {}, 1],
    ['destination port first', [{ transportProtocol: 'raw_buffer' }, { destinationPort: 8080 }], {}, 1],
    ['another destination port', [{ destinationPort: 81 }], {}, undefined],
    ['the longest prefix', [{ prefixRanges: [cidr('10.0.0.0', 8)] }, { prefixRanges: [cidr('10.0.0.0', 24)] }], {}, 1],
    ['a prefix of the other family', [{ prefixRanges: [cidr('::', 0)] }, {}], {}, 1],
    ['the exact server name before a wildcard', [{ serverNames: ['*.a.b'] }, { serverNames: ['x.a.b'] }, {}], { requestedServerName: 'X.a.b' }, 1],
    ['the application protocol', [{ applicationProtocols: ['h2'] }, {}], { applicationProtocol: 'h2' }, 0],
    ['a source from elsewhere', [{ sourceType: 'same-ip-or-loopback' }, { sourceType: 'external' }], {}, 1],
    ['a local source', [{ sourceType: 'external' }, { sourceType: 'same-ip-or-loopback' }], { remoteAddress: '127.0.0.1' }, 1],
    ['source prefix before source port', [{ sourcePorts: [50000] }, { sourcePrefixRanges: [cidr('10.0.0.9', 32)] }], {}, 1],
    ['no way back to a less specific criterion', [{ destinationPort: 8080, transportProtocol: 'tls' }, {}], {}, undefined],
  ])('%s', (_name, matches, connection, expected) => expect(pick(matches, connection)).toBe(expected));
});
