// Aggregate clusters against a real Envoy: the same members, priorities, health and thresholds; the same share of requests at each host.
import { connect } from 'node:net';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createRegistry, fromJson, toBinary, type JsonObject } from '@weft/xds-api/protobuf';
import { AggregateClusterConfigSchema, ClusterSchema } from '@weft/xds-api/cluster';
import { peers } from '../../scripts/peers.mjs';
import { builtinLoadBalancers } from '../../packages/data-plane/src/load-balancing/builtin.js';
import { clusterType } from '../../packages/data-plane/src/resource/cluster.js';
import { endpointPolicy } from '../../packages/data-plane/src/resource/endpoint-policy.js';
import { ClusterManager } from '../../packages/data-plane/src/upstream/cluster-manager.js';
import { Host } from '../../packages/data-plane/src/upstream/host.js';
import { clusterContext, FakeXds, resourceType } from '../../packages/data-plane/src/upstream/test-support.js';
import { runEnvoy, type EnvoyProcess } from '../support/envoy-process.js';
import { freePort } from '../support/free-port.js';
import { seededRandom } from '../support/random.js';

const { envoy } = peers();
const { seed, next: random, below, pick } = seededRandom();
const variants = 10;
const requests = 800;
const picks = 8000;
const numberOfHosts = 16;

/** Two or three members with one to three priorities each, some of them empty or sick. */
function variant(i: number, ports: readonly number[]): JsonObject[] {
  let next = 0;
  const threshold = (): JsonObject => (random() < 0.5 ? { commonLbConfig: { healthyPanicThreshold: { value: pick([0, 0, 30, 80]) } } } : {});
  const members = Array.from({ length: 2 + below(2) }, (_, member): JsonObject => {
    const name = `c${i}-${member}`;
    const sick = pick([0, 0.3, 0.6, 1]);
    const endpoints = Array.from({ length: 1 + below(3) }, (_unused, priority): JsonObject => ({
      priority,
      lbEndpoints: Array.from({ length: pick([0, 1, 2, 3]) }, () => ({
        endpoint: { address: address(ports[next++ % ports.length]!) },
        healthStatus: random() < sick ? 'UNHEALTHY' : random() < 0.15 ? 'DEGRADED' : 'HEALTHY',
      })),
    }));
    return { name, type: 'STATIC', connectTimeout: '5s', ...threshold(), loadAssignment: { clusterName: name, endpoints, ...(random() < 0.3 && { policy: { overprovisioningFactor: pick([100, 200]) } }) } };
  });
  const typedConfig = { '@type': 'type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig', clusters: members.map(({ name }) => name as string) };
  return [{ name: `c${i}`, connectTimeout: '5s', lbPolicy: 'CLUSTER_PROVIDED', ...threshold(), clusterType: { name: 'envoy.clusters.aggregate', typedConfig } }, ...members];
}

describe.skipIf(envoy.missing !== undefined)(`shares of hosts behind aggregates, by Envoy 1.40 and by Weft${envoy.missing ? ` (skipped: ${envoy.missing})` : ''}`, () => {
  const agent = new Agent({ connections: 8, pipelining: 4 });
  let servers: Server[];
  let clusters: JsonObject[][];
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
    clusters = Array.from({ length: variants }, (_, i) => variant(i, ports));
    port = await freePort();
    process = runEnvoy(envoy.path as string, JSON.stringify({ admin: { address: address(0) }, static_resources: { listeners: [listener(port)], clusters: clusters.flat() } }));
    await vi.waitFor(async () => {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect').catch(() => Promise.reject(new Error(`Envoy does not listen: ${process.log()}`)));
      socket.destroy();
    }, { timeout: 20_000, interval: 50 });
  });

  afterAll(async () => {
    await agent.close();
    await process?.close();
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  });

  it.each(Array.from({ length: variants }, (_, i) => i))('are the same in aggregate %i', async (i) => {
    const theirs = new Map<string, number>();
    await Promise.all(Array.from({ length: requests }, async () => {
      const { statusCode, body } = await request(`http://127.0.0.1:${port}/c${i}/`, { dispatcher: agent });
      count(theirs, statusCode === 200 ? await body.text() : `${statusCode} ${(await body.text()).slice(0, 19)}`);
    }));
    const ours = weftShares(clusters[i]!);
    const differences = [...new Set([...theirs.keys(), ...ours.keys()])].flatMap((key) => {
      const [envoys, wefts] = [(theirs.get(key) ?? 0) / requests, (ours.get(key) ?? 0) / picks];
      const p = ((theirs.get(key) ?? 0) + (ours.get(key) ?? 0)) / (requests + picks);
      // Five standard deviations: once in a million comparisons by chance.
      return Math.abs(envoys - wefts) > 5 * Math.sqrt(p * (1 - p) * (1 / requests + 1 / picks)) ? [`${key}: Envoy ${envoys}, Weft ${wefts}`] : [];
    });
    expect(differences, `seed ${seed}, ${JSON.stringify(clusters[i])}`).toEqual([]);
  });
});

function weftShares(json: readonly JsonObject[]): Map<string, number> {
  const registry = createRegistry(AggregateClusterConfigSchema);
  const decoder = clusterType({ loadBalancers: builtinLoadBalancers, certificateProviders: new Set<string>(), policy: endpointPolicy({ allowLoopback: true }) });
  const xds = new FakeXds();
  const manager = new ClusterManager({ xds, clusterType: resourceType('cluster'), endpointType: resourceType('endpoints'), ...clusterContext({ random }) });
  const handle = manager.acquire(json[0]!['name'] as string);
  for (const cluster of json) xds.send(`cluster/${cluster['name'] as string}`, decoder.decode(toBinary(ClusterSchema, fromJson(ClusterSchema, cluster, { registry }))).resource);
  const shares = new Map<string, number>();
  for (let n = 0; n < picks; n++) {
    const chosen = handle.cluster!.choose({ attempt: 0, priority: 'default' });
    count(shares, chosen instanceof Host ? String(chosen.config.port) : `${chosen.status} ${String(chosen.body).slice(0, 19)}`);
  }
  manager.close();
  return shares;
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function address(port: number): JsonObject {
  return { socketAddress: { address: '127.0.0.1', portValue: port } };
}

function listener(port: number): JsonObject {
  const routes = Array.from({ length: variants }, (_, i): JsonObject => ({ match: { prefix: `/c${i}/` }, route: { cluster: `c${i}` } }));
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
