import { isIP } from 'node:net';
import type { Timer } from '@weft/spiffe';
import type { EndpointConfig, EndpointsConfig } from '../../resource/cluster-config.js';
import type { ClusterType } from './cluster-type.js';

// Envoy's; also what keeps an unset rate from asking without pause.
const defaultRefreshMs = 5000;

/**
 * STRICT_DNS: every address of every name is a host. LOGICAL_DNS: the first address of the name only. Names are asked for
 * again after `dnsRefreshMs` (0: 5 s); one that cannot be resolved keeps the addresses it had.
 */
export const dns: ClusterType = {
  kinds: ['strict-dns', 'logical-dns'],
  start({ name: clusterName, type }, sink, { clock, logger, resolve }) {
    if (type.kind !== 'strict-dns' && type.kind !== 'logical-dns') throw new TypeError(`not a DNS cluster: ${clusterName}`);
    const { assignment, dnsRefreshMs } = type;
    const names = new Set(assignment.localities.flatMap(({ endpoints }) => endpoints.map(({ address }) => address)).filter(isName));
    const known = new Map<string, readonly string[]>();
    let timer: Timer | undefined;
    let closed = false;
    let last = '';

    const refresh = async (): Promise<void> => {
      await Promise.all([...names].map(async (name) => {
        try {
          const found = await resolve(name);
          // The order of a name server's answer is random by design; sorted, an unchanged set is no update.
          known.set(name, type.kind === 'logical-dns' ? found.slice(0, 1) : [...new Set(found)].sort());
        } catch (error) {
          logger.warn({ cluster: clusterName, name, reason: error instanceof Error ? error.message : String(error) }, 'a name of a cluster cannot be resolved');
        }
      }));
      if (closed) return;
      const state = JSON.stringify([...known]);
      if (state !== last) {
        last = state;
        sink.onEndpoints(resolved(assignment, known));
      }
      if (names.size > 0) timer = clock.setTimeout(() => void refresh(), dnsRefreshMs > 0 ? dnsRefreshMs : defaultRefreshMs);
    };
    void refresh();
    return {
      close() {
        closed = true;
        timer?.cancel();
      },
    };
  },
};

function isName(address: string): boolean {
  return isIP(address) === 0 && !address.startsWith('/');
}

function resolved(assignment: EndpointsConfig, known: ReadonlyMap<string, readonly string[]>): EndpointsConfig {
  const addresses = (endpoint: EndpointConfig): EndpointConfig[] =>
    isName(endpoint.address)
      ? (known.get(endpoint.address) ?? []).map((address) => ({ ...endpoint, address, hostname: endpoint.hostname || endpoint.address }))
      : [endpoint];
  return { ...assignment, localities: assignment.localities.map((locality) => ({ ...locality, endpoints: locality.endpoints.flatMap(addresses) })) };
}
