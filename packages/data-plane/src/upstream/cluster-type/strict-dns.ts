import { isIP } from 'node:net';
import type { DnsConfig, EndpointConfig, EndpointsConfig } from '../../resource/cluster-config.js';
import { RefreshedName } from '../dns/refreshed-name.js';
import type { ClusterType } from './cluster-type.js';

/**
 * STRICT_DNS: every address of every name is a host. LOGICAL_DNS: the name is one host, with its first address and, while that does
 * not answer, the others. Names are asked for again, each at its own rate; one that cannot be resolved keeps the addresses it had.
 */
export const dns: ClusterType = {
  kinds: ['strict-dns', 'logical-dns'],
  start({ name: clusterName, type }, sink, { clock, logger, lookup, random, policy }) {
    if (type.kind !== 'strict-dns' && type.kind !== 'logical-dns') throw new TypeError(`not a DNS cluster: ${clusterName}`);
    const { assignment, dns: config, kind } = type;
    const names = new Set(assignment.localities.flatMap(({ endpoints }) => endpoints.map(({ address }) => address)).filter(isName));
    const known = new Map<string, readonly string[]>();
    const unanswered = new Set(names);
    let last = '';
    const answered = (name: string) => {
      unanswered.delete(name);
      const state = JSON.stringify([...known]);
      // The first state has all names in it, so that requests are not all sent to the quickest one's.
      if (unanswered.size > 0 || state === last) return;
      last = state;
      sink.onEndpoints(resolved(assignment, known, kind));
    };
    const refreshed = [...names].map((name) => new RefreshedName(name, {
      clock, random, lookup, config,
      onResolved({ addresses }) {
        const allowed = addresses.filter((address) => {
          const refusal = policy(address);
          if (refusal !== undefined) logger.warn({ cluster: clusterName, name, address, reason: refusal }, 'an address of a name is left out');
          return refusal === undefined;
        });
        // The order of a name server's answer is random by design; sorted, an unchanged set is no update.
        known.set(name, kind === 'logical-dns' ? allowed : [...new Set(allowed)].sort());
        answered(name);
      },
      onFailure(error) {
        logger.warn({ cluster: clusterName, name, reason: error.message }, 'a name of a cluster cannot be resolved');
        answered(name);
      },
    }));
    if (names.size === 0) sink.onEndpoints(assignment);
    return {
      close() {
        for (const name of refreshed) name.close();
      },
    };
  },
};

export const defaultDns: DnsConfig = { family: 'auto', respectTtl: false, refreshMs: 5000 };

function isName(address: string): boolean {
  return isIP(address) === 0 && !address.startsWith('/');
}

function resolved(assignment: EndpointsConfig, known: ReadonlyMap<string, readonly string[]>, kind: 'strict-dns' | 'logical-dns'): EndpointsConfig {
  const addresses = (endpoint: EndpointConfig): EndpointConfig[] => {
    if (!isName(endpoint.address)) return [endpoint];
    const found = known.get(endpoint.address) ?? [];
    const named = { ...endpoint, hostname: endpoint.hostname || endpoint.address };
    if (kind === 'strict-dns') return found.map((address) => ({ ...named, address }));
    const [first, ...others] = found;
    if (first === undefined) return [];
    return [{ ...named, address: first, ...(others.length > 0 && { additionalAddresses: others.map((address) => ({ address, port: endpoint.port })) }) }];
  };
  return { ...assignment, localities: assignment.localities.map((locality) => ({ ...locality, endpoints: locality.endpoints.flatMap(addresses) })) };
}
