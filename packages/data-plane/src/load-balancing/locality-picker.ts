import type { Host } from '../upstream/host.js';
import type { Picker } from './load-balancer.js';
import { startedRotation } from './weighted-rotation.js';

/** The hosts of one locality at one priority. */
export interface LocalityHosts {
  /** `region/zone/subZone`. */
  readonly key: string;
  readonly weight: number;
  readonly hosts: readonly Host[];
}

/**
 * A locality by its weight, lowered where hosts of it are not usable (`weight · min(1, overprovisioning · usable/all)`),
 * then a host of it. `undefined` where no locality has one.
 */
export function localityPicker(localities: readonly LocalityHosts[], usable: (host: Host) => boolean, overprovisioning: number, pickerOf: (locality: LocalityHosts, hosts: readonly Host[]) => Picker, random: () => number): Picker | undefined {
  const choices = usableLocalities(localities, usable, overprovisioning);
  if (choices.length === 0) return undefined;
  const pickers = choices.map(({ locality, hosts, weight }) => ({ picker: pickerOf(locality, hosts), weight }));
  if (pickers.length === 1) return pickers[0]?.picker;
  const scheduler = startedRotation(pickers, ({ weight }) => weight, random);
  return { pick: (context) => scheduler.pick()?.picker.pick(context) };
}

/**
 * For policies by hash: each host's share, by its locality's weight and its own. Availability does not change them, and the weight of a
 * locality without usable hosts goes to nobody (Envoy): keys of the others stay where they are.
 */
export function localityShares(localities: readonly LocalityHosts[], usable: (host: Host) => boolean): Map<Host, number> {
  const shares = new Map<Host, number>();
  const sum = localities.reduce((total, { weight }) => total + weight, 0);
  for (const { hosts, weight } of localities) {
    const chosen = hosts.filter(usable);
    const total = chosen.reduce((own, host) => own + host.config.weight, 0);
    for (const host of chosen) shares.set(host, (host.config.weight * (weight / sum)) / total);
  }
  return shares;
}

function usableLocalities(localities: readonly LocalityHosts[], usable: (host: Host) => boolean, overprovisioning: number): { locality: LocalityHosts; hosts: Host[]; weight: number }[] {
  return localities.map((locality) => {
    const hosts = locality.hosts.filter(usable);
    const availability = locality.hosts.length === 0 ? 0 : hosts.length / locality.hosts.length;
    return { locality, hosts, weight: locality.weight * Math.min(1, (overprovisioning / 100) * availability) };
  }).filter(({ weight }) => weight > 0);
}
