import type { Host } from '../upstream/host.js';

export function weightOf(host: Host): number {
  return host.config.weight;
}

export function weightsAreEqual(hosts: readonly Host[]): boolean {
  const first = hosts[0];
  return first === undefined || hosts.every((host) => host.config.weight === first.config.weight);
}
