// Ring hash and maglev against a real Envoy: the same clusters, the same keys, the same hosts. Random weights, sizes, orders, zones.
import { connect } from 'node:net';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { create, createRegistry, fromJson, toBinary, type JsonObject } from '@weft/xds-api/protobuf';
import { ClusterSchema } from '@weft/xds-api/cluster';
import { MaglevSchema, RingHashSchema } from '@weft/xds-api/load-balancing';
import { peers } from '../../scripts/peers.mjs';
import { builtinLoadBalancers } from '../../packages/data-plane/src/load-balancing/builtin.js';
import { clusterType } from '../../packages/data-plane/src/resource/cluster.js';
import { endpointPolicy } from '../../packages/data-plane/src/resource/endpoint-policy.js';
import { compileRequestHash } from '../../packages/data-plane/src/route/request-hash.js';
import { loadXxh64 } from '../../packages/data-plane/src/route/xxh64.js';
import { HeaderMap } from '../../packages/data-plane/src/stream/header-map.js';
import { Cluster } from '../../packages/data-plane/src/upstream/cluster.js';
import { Host } from '../../packages/data-plane/src/upstream/host.js';
import { clusterContext } from '../../packages/data-plane/src/upstream/test-support.js';
import { runEnvoy, type EnvoyProcess } from '../support/envoy-process.js';
import { freePort } from '../support/free-port.js';
import { seededRandom } from '../support/random.js';

const { envoy } = peers();
const { seed, next: random, below, pick: pickOf } = seededRandom();
const pick = <T>(...values: readonly T[]) => pickOf(values);
const keysPerCluster = Number(process.env['WEFT_HASH_KEYS'] ?? 150);
const numberOfHosts = 24;
const variants = 32;
const policies = 'type.googleapis.com/envoy.extensions.load_balancing_policies';

/** Hosts by zone, in a random order, some with weights, names for keys, or not healthy. */
function endpoints(ports: readonly number[]): JsonObject[] {
  const zones = pick(1, 1, 2, 3);
  const weighted = random() < 0.6;
  const own = random() < 0.2;
  // Beyond half of them: panic.
  const sick = pick(0, 0, 0.25, 0.7);
  const chosen = ports.toSorted(() => random() - 0.5).slice(0, 2 + below(ports.length - 2));
  const localities: JsonObject[] = [];
  for (let zone = 0; zone < zones; zone++) {
    const hosts = chosen.filter((_, i) => i % zones === zone);
    if (hosts.length === 0) continue;
    localities.push({
      locality: { zone: `z${zone}` },
      loadBalancingWeight: 1 + below(9),
      lbEndpoints: hosts.map((port) => ({
        endpoint: { address: { socketAddress: { address: '127.0.0.1', portValue: port } } },
        ...(weighted && { loadBalancingWeight: 1 + below(random() < 0.2 ? 200 : 10) }),
        ...(own && { metadata: { filterMetadata: { 'envoy.lb': { hash_key: `key-${port}` } } } }),
        ...(random() < sick && { healthStatus: 'UNHEALTHY' }),
      })),
    });
  }
  return localities;
}

function policy(): JsonObject {
  const byZone = random() < 0.4;
  const localityWeighted = byZone && { localityWeightedLbConfig: {} };
  const tableSize = pick(251, 1009, 5003, 65_537);
  const ring = { minimumRingSize: pick(16, 100, 1024, 3000), ...(random() < 0.3 && { maximumRingSize: 4096 }) };
  const murmur = random() < 0.3 && { hashFunction: 'MURMUR_HASH_2' };
  switch (pick('ring', 'maglev', 'old ring', 'old maglev')) {
    case 'ring': return { loadBalancingPolicy: { policies: [{ typedExtensionConfig: { name: 'ring', typedConfig: { '@type': `${policies}.ring_hash.v3.RingHash`, ...ring, ...murmur, ...localityWeighted } } }] } };
    case 'maglev': return { loadBalancingPolicy: { policies: [{ typedExtensionConfig: { name: 'maglev', typedConfig: { '@type': `${policies}.maglev.v3.Maglev`, tableSize, ...localityWeighted } } }] } };
    case 'old ring': return { lbPolicy: 'RING_HASH', ringHashLbConfig: { ...ring, ...murmur }, commonLbConfig: { ...localityWeighted } };
    default: return { lbPolicy: 'MAGLEV', maglevLbConfig: { tableSize }, commonLbConfig: { ...localityWeighted } };
  }
}

describe.skipIf(envoy.missing !== undefined)(`hosts of keys, by Envoy 1.40 and by Weft${envoy.missing ? ` (skipped: ${envoy.missing})` : ''}`, () => {
  const agent = new Agent({ connections: 8, pipelining: 4 });
  let servers: Server[];
  let clusters: JsonObject[];
  let process: EnvoyProcess;
  let port: number;

  beforeAll(async () => {
    servers = await Promise.all(Array.from({ length: numberOfHosts }, async () => {
      const server = createServer((message, response) => response.end(String(message.socket.localPort)));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }));
    const ports = servers.map((server) => (server.address() as AddressInfo).port);
    clusters = Array.from({ length: variants }, (_, i): JsonObject => ({
      name: `c${i}`, type: 'STATIC', connectTimeout: '5s', ...policy(), loadAssignment: { clusterName: `c${i}`, endpoints: endpoints(ports) },
    }));
    port = await freePort();
    process = runEnvoy(envoy.path as string, JSON.stringify({ admin: { address: address(0) }, static_resources: { listeners: [listener(port, variants)], clusters } }));
    await vi.waitFor(async () => {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect').catch(() => Promise.reject(new Error(`Envoy does not listen: ${process.log()}`)));
      socket.destroy();
    }, { timeout: 20_000, interval: 50 });
    await loadXxh64();
  });

  afterAll(async () => {
    await agent.close();
    await process?.close();
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  });

  it.each(Array.from({ length: variants }, (_, i) => i))('are the same in cluster %i', async (i) => {
    const own = weftCluster(clusters[i] as JsonObject);
    const hashOf = compileRequestHash([{ kind: 'header', name: 'x-key', terminal: false }])!;
    const keys = Array.from({ length: keysPerCluster }, () => random().toString(36).slice(2));
    const differences: string[] = [];
    await Promise.all(keys.map(async (key) => {
      const { statusCode, body } = await request(`http://127.0.0.1:${port}/c${i}/`, { dispatcher: agent, headers: { 'x-key': key } });
      const theirs = `${statusCode} ${await body.text()}`;
      const { hash } = hashOf({ protocol: 'http', method: 'GET', scheme: 'http', authority: 'x', path: '/', headers: new HeaderMap(['x-key', key]) }, {} as never);
      const chosen = own.choose({ attempt: 0, priority: 'default', ...(hash !== undefined && { hash }) });
      const ours = chosen instanceof Host ? `200 ${chosen.config.port}` : `${chosen.status} ${String(chosen.body)}`;
      if (ours !== theirs) differences.push(`${key}: Envoy ${theirs}, Weft ${ours}`);
    }));
    expect(differences, `seed ${seed}, ${JSON.stringify(clusters[i])}`).toEqual([]);
  });
});

function weftCluster(json: JsonObject): Cluster {
  const registry = createRegistry(MaglevSchema, RingHashSchema);
  const message = fromJson(ClusterSchema, json, { registry });
  const { resource } = clusterType({ loadBalancers: builtinLoadBalancers, certificateProviders: new Set<string>(), policy: endpointPolicy({ allowLoopback: true }) }).decode(toBinary(ClusterSchema, create(ClusterSchema, message)));
  if (resource.type.kind !== 'static') throw new Error('not static');
  const cluster = new Cluster(resource, clusterContext());
  cluster.setEndpoints(resource.type.assignment);
  return cluster;
}

function address(port: number): JsonObject {
  return { socketAddress: { address: '127.0.0.1', portValue: port } };
}

function listener(port: number, count: number): JsonObject {
  const routes = Array.from({ length: count }, (_, i): JsonObject => ({ match: { prefix: `/c${i}/` }, route: { cluster: `c${i}`, hashPolicy: [{ header: { headerName: 'x-key' } }] } }));
  return {
    name: 'l',
    address: address(port),
    filterChains: [{ filters: [{ name: 'hcm', typedConfig: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
      statPrefix: 'x',
      routeConfig: { virtualHosts: [{ name: 'v', domains: ['*'], routes }] },
      httpFilters: [{ name: 'router', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } }],
    } }] }],
  };
}
