// The clusters every table of a run may use, each with backends of its own.
import type { Backends } from '../backends.js';
import type { JsonObject } from '../model.js';
import type { Draw } from './draw.js';

export const forwardable = ['one', 'two', 'named', 'pair', 'priority', 'ring', 'ring-2', 'maglev', 'maglev-2', 'murmur', 'subset', 'subset-default'] as const;
/** Those that answer by themselves. */
export const failing = ['empty', 'unhealthy', 'closed', 'full', 'missing'] as const;
export const existing: ReadonlySet<string> = new Set([...forwardable, ...failing, 'no-retry'].filter((name) => name !== 'missing'));

export async function clusters(draw: Draw, backends: Backends): Promise<JsonObject[]> {
  const hosts = async (cluster: string, count: number, more: (i: number) => JsonObject = () => ({})): Promise<JsonObject[]> => {
    const made: JsonObject[] = [];
    for (let i = 0; i < count; i++) made.push(endpoint(await backends.add(`${cluster}/${i}`), more(i)));
    return made;
  };
  // One host each, so that a subset is one host.
  const versions = (cluster: string) => hosts(cluster, 3, (i) => ({ metadata: { filter_metadata: { 'envoy.lb': { version: `v${i + 1}`, stage: i === 2 ? 'canary' : 'production' } } } }));
  const closed = await unusedPort(backends);
  return [
    cluster('one', await hosts('one', 1)),
    cluster('two', await hosts('two', 1)),
    cluster('named', await hosts('named', 1, () => ({ endpoint: { hostname: 'named.internal' } }))),
    cluster('pair', await hosts('pair', 2)),
    cluster('no-retry', await hosts('no-retry', 1), { circuit_breakers: { thresholds: [{ max_retries: 0 }] } }),
    cluster('priority', [], {}, [
      { priority: 0, lb_endpoints: (await hosts('priority', 1)).map((one) => ({ ...one, health_status: 'UNHEALTHY' })) },
      { priority: 1, lb_endpoints: await hosts('priority-1', 1) },
    ]),
    cluster('ring', await hosts('ring', draw.int(3, 7)), { lb_policy: 'RING_HASH', ...draw.maybe(0.7, () => ({ ring_hash_lb_config: { minimum_ring_size: draw.pick([1, 16, 100, 1024]) } })) }),
    cluster('ring-2', await hosts('ring-2', draw.int(3, 6), (i) => ({ load_balancing_weight: draw.int(1, 5), ...draw.maybe(0.3, () => ({ metadata: { filter_metadata: { 'envoy.lb': { hash_key: `key-${i}` } } } })) })), { lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: draw.int(10, 500), maximum_ring_size: 1000 } }),
    cluster('maglev', await hosts('maglev', draw.int(3, 7)), { lb_policy: 'MAGLEV' }),
    cluster('maglev-2', await hosts('maglev-2', draw.int(3, 6), (i) => ({ load_balancing_weight: draw.int(1, 5), ...draw.maybe(0.3, () => ({ metadata: { filter_metadata: { 'envoy.lb': { hash_key: `key-${i}` } } } })) })), { lb_policy: 'MAGLEV', maglev_lb_config: { table_size: draw.pick([251, 1021, 65537]) } }),
    cluster('murmur', await hosts('murmur', draw.int(3, 7)), { lb_policy: 'RING_HASH', ring_hash_lb_config: { hash_function: 'MURMUR_HASH_2' } }),
    cluster('subset', await versions('subset'), { lb_policy: 'RING_HASH', lb_subset_config: { fallback_policy: 'NO_FALLBACK', subset_selectors: [{ keys: ['version'] }, { keys: ['stage', 'version'], fallback_policy: 'KEYS_SUBSET', fallback_keys_subset: ['version'] }] } }),
    cluster('subset-default', await versions('subset-default'), { lb_policy: 'MAGLEV', lb_subset_config: { fallback_policy: 'DEFAULT_SUBSET', default_subset: { version: 'v1' }, subset_selectors: [{ keys: ['version'] }] } }),
    cluster('empty', []),
    cluster('unhealthy', (await hosts('unhealthy', 1)).map((one) => ({ ...one, health_status: 'UNHEALTHY' })), { common_lb_config: { healthy_panic_threshold: { value: 0 } } }),
    cluster('closed', [endpoint(closed, {})]),
    cluster('full', await hosts('full', 1), { circuit_breakers: { thresholds: [{ max_requests: 0 }] } }),
  ];
}

function cluster(name: string, endpoints: JsonObject[], more: JsonObject = {}, localities?: JsonObject[]): JsonObject {
  return {
    '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
    name, type: 'STATIC', connect_timeout: '2s',
    load_assignment: { cluster_name: name, endpoints: localities ?? [{ lb_endpoints: endpoints }] },
    // Many requests run at once: only those clusters that are there for it refuse some.
    ...({ circuit_breakers: { thresholds: ['DEFAULT', 'HIGH'].map((priority) => ({ priority, max_retries: 10_000 })) } }),
    ...more,
  };
}

function endpoint(port: number, { endpoint: inner = {}, ...more }: JsonObject): JsonObject {
  return { endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } }, ...(inner as JsonObject) }, ...more };
}

/** Port 1 is refused at once everywhere. */
async function unusedPort(_backends: Backends): Promise<number> {
  return 1;
}
