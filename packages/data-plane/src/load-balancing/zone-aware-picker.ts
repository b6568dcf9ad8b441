// Zone-aware routing (Envoy): callers send what their own zone can carry to it, and the rest to zones that have more hosts than
// callers. "Callers" are the hosts of the local cluster, of which this process is one.
import type { ZoneAwareConfig } from '../resource/balancing-config.js';
import type { Host } from '../upstream/host.js';
import type { Picker } from './load-balancer.js';
import type { LocalityHosts } from './locality-picker.js';

interface ZoneAwareMessage {
  routingEnabled?: { value: number } | undefined;
  minClusterSize?: bigint | undefined;
  failTrafficOnPanic: boolean;
  forceLocalityDirectRouting?: boolean;
  forceLocalZone?: { minSize?: number | undefined } | undefined;
  localityBasis?: number;
}

/** Both messages of that name have these fields. Throws where a value is invalid. */
export function zoneAwareConfig({ routingEnabled, minClusterSize, failTrafficOnPanic, forceLocalityDirectRouting, forceLocalZone, localityBasis }: ZoneAwareMessage): ZoneAwareConfig {
  const percent = routingEnabled?.value ?? 100;
  if (!(percent >= 0 && percent <= 100)) throw new Error(`zone_aware_lb_config.routing_enabled must be 0 to 100, is ${percent}`);
  const forceLocalMinSize = forceLocalZone ? (forceLocalZone.minSize ?? 1) : forceLocalityDirectRouting ? 1 : undefined;
  return {
    routingEnabled: percent,
    minClusterSize: Number(minClusterSize ?? 6n),
    failTrafficOnPanic,
    ...(forceLocalMinSize !== undefined && { forceLocalMinSize }),
    ...(localityBasis === 1 && { byWeight: true }),
  };
}

/** The cluster of which this process is a host. */
export interface LocalCluster {
  /** Our own `region/zone/subZone`. */
  readonly locality: string;
  /** Of its first priority. Empty: not known. */
  localities(): readonly LocalityHosts[];
  /** Called when its hosts change. Returns the way to stop. */
  subscribe(changed: () => void): () => void;
}

export interface ZoneAwareOptions {
  readonly config: ZoneAwareConfig;
  readonly local: LocalCluster;
  readonly panicThreshold: number;
  usable(host: Host): boolean;
  random(): number;
  /** Of one zone. */
  pickerOf(locality: LocalityHosts, hosts: readonly Host[]): Picker;
}

const none: Picker = { pick: () => undefined };

/** `all`: over the hosts of all zones, for everything that zones do not decide. */
export function zoneAwarePicker(localities: readonly LocalityHosts[], all: Picker, options: ZoneAwareOptions): Picker {
  const { config, local, usable, random } = options;
  const zones = ownFirst(localities, local.locality).map((locality) => ({ locality, hosts: locality.hosts.filter(usable) }));
  const healthy = zones.reduce((sum, { hosts }) => sum + hosts.length, 0);
  const callers = local.localities().map((locality) => ({ key: locality.key, hosts: locality.hosts.filter(usable), total: locality.hosts.length }));
  const total = callers.reduce((sum, zone) => sum + zone.total, 0);
  if (zones.length < 2 || healthy < config.minClusterSize || total === 0) return all;
  // Too few of the callers are known to be well: how the load is spread among zones is not known.
  const usableCallers = callers.reduce((sum, { hosts }) => sum + hosts.length, 0);
  const otherwise = (100 * usableCallers) / total < options.panicThreshold ? (config.failTrafficOnPanic ? none : all) : undefined;
  const size = config.byWeight ? (hosts: readonly Host[]) => hosts.reduce((sum, host) => sum + host.config.weight, 0) : (hosts: readonly Host[]) => hosts.length;
  const sizeHere = zones.reduce((sum, { hosts }) => sum + size(hosts), 0);
  const sizeOfCallers = callers.reduce((sum, { hosts }) => sum + size(hosts), 0);
  const shares = zones.map(({ locality, hosts }) => ({
    here: Math.floor((10_000 * size(hosts)) / sizeHere),
    callers: sizeOfCallers === 0 || hosts.length === 0 ? 0 : Math.floor((10_000 * size(callers.find(({ key }) => key === locality.key)?.hosts ?? [])) / sizeOfCallers),
  }));
  const hostsOfOwn = zones[0]?.locality.key === local.locality ? (zones[0]?.hosts.length ?? 0) : 0;
  const own = hostsOfOwn > 0 ? shares[0] : undefined;
  const pickers = zones.map(({ locality, hosts }) => (hosts.length === 0 ? none : options.pickerOf(locality, hosts)));
  const direct = own && (own.here >= own.callers || hostsOfOwn >= (config.forceLocalMinSize ?? Infinity));
  const choose = direct ? () => 0 : residual(shares, own, random);
  const enabled = config.routingEnabled;
  return {
    pick(context) {
      if (enabled < 100 && random() * 100 >= enabled) return all.pick(context);
      return (otherwise ?? (pickers[choose()] as Picker)).pick(context);
    },
  };
}

/** The own zone as far as it can carry its callers, then the others by what they could carry beyond their own. */
function residual(shares: readonly { here: number; callers: number }[], own: { here: number; callers: number } | undefined, random: () => number): () => number {
  const stay = own && own.callers > 0 ? Math.floor((own.here * 10_000) / own.callers) : 0;
  let sum = 0;
  const capacity = shares.map(({ here, callers }, i) => (sum += i === 0 && own ? 0 : Math.max(0, here - callers)));
  return () => {
    if (Math.floor(random() * 10_000) < stay) return 0;
    // Rounding can leave nobody with capacity.
    if (sum === 0) return Math.floor(random() * shares.length);
    const point = Math.floor(random() * sum);
    return capacity.findIndex((reached) => point < reached);
  };
}

function ownFirst(localities: readonly LocalityHosts[], own: string): readonly LocalityHosts[] {
  return [...localities.filter(({ key }) => key === own), ...localities.filter(({ key }) => key !== own)];
}
