// Bounded load over a hash table (hash_balance_factor): a host that already has more than its share of what runs is passed over for
// another, in an order that depends on the key only. Envoy's numbers, so that both skip the same hosts.
import type { Host } from '../upstream/host.js';
import type { HashTable, WeightedHost } from './hash-table.js';
import { mersenneTwister } from './mersenne-twister.js';

/** `factor`: percent of the mean load that a host may have, 100 or more. */
export function boundedLoad(table: HashTable, hosts: readonly WeightedHost[], factor: number, activeRequests: () => number): HashTable {
  const weights = new Map(hosts.map(({ host, weight }) => [host, weight]));
  return (hash, reselection) => {
    const first = table(hash, reselection);
    const slots = Math.floor(((activeRequests() + 1) * factor + 99) / 100);
    const load = (host: Host, weight: number) => host.activeRequests / Math.max(Math.ceil(slots * weight), 1);
    let least = load(first, weights.get(first) as number);
    if (least <= 1) return first;
    let chosen = first;
    const order = hosts.map((_, i) => i);
    const random = mersenneTwister(Number(hash & 0xffff_ffffn));
    for (let i = 0; i < order.length; i++) {
      const j = i + below(order.length - i, random);
      const k = order[j] as number;
      order[j] = order[i] as number;
      order[i] = k;
      const { host, weight } = hosts[k] as WeightedHost;
      if (host === first) continue;
      const other = load(host, weight);
      if (other <= 1) return host;
      if (other < least) {
        chosen = host;
        least = other;
      }
    }
    return chosen;
  };
}

function below(count: number, random: () => number): number {
  for (;;) {
    const number = Math.floor(random() / Math.floor(2 ** 32 / count));
    if (number < count) return number;
  }
}
