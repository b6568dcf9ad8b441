// Subsets against a real Envoy: random selectors, fallbacks and metadata; the hosts that requests of each route reach must be the same.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { fromJson, toBinary, type JsonObject } from '@weft/xds-api/protobuf';
import { ClusterSchema } from '@weft/xds-api/cluster';
import { peers } from '../../scripts/peers.mjs';
import { builtinLoadBalancers } from '../../packages/data-plane/src/load-balancing/builtin.js';
import { clusterType } from '../../packages/data-plane/src/resource/cluster.js';
import { endpointPolicy } from '../../packages/data-plane/src/resource/endpoint-policy.js';
import { Cluster } from '../../packages/data-plane/src/upstream/cluster.js';
import { Host } from '../../packages/data-plane/src/upstream/host.js';
import { clusterContext } from '../../packages/data-plane/src/upstream/test-support.js';
import { runEnvoy, type EnvoyProcess } from '../support/envoy-process.js';
import { freePort } from '../support/free-port.js';
import { seededRandom } from '../support/random.js';

const { envoy } = peers();
const { seed, next: random, below, pick: pickOf } = seededRandom();
const pick = <T>(...values: readonly T[]) => pickOf(values);
const numberOfHosts = 8;
const variants = 30;
const routesPerCluster = 8;
const keys = ['a', 'b', 'c'];

const some = <T>(list: readonly T[], atLeast = 0): T[] => list.toSorted(() => random() - 0.5).slice(0, atLeast + below(list.length + 1 - atLeast));
const value = () => pick<unknown>('1', '2', '3', 1, true);
const labels = (lists: boolean): JsonObject => Object.fromEntries(some(keys).map((key) => [key, lists && random() < 0.3 ? [value(), value()] : value()])) as JsonObject;

function selector(): JsonObject {
  const own = some(keys, 1);
  const fallbackPolicy = own.length > 1 ? pick('NOT_DEFINED', 'NO_FALLBACK', 'ANY_ENDPOINT', 'DEFAULT_SUBSET', 'KEYS_SUBSET') : pick('NOT_DEFINED', 'NO_FALLBACK', 'ANY_ENDPOINT', 'DEFAULT_SUBSET');
  return { keys: own, fallbackPolicy, ...(fallbackPolicy === 'KEYS_SUBSET' && { fallbackKeysSubset: own.slice(0, 1 + below(own.length - 1)) }) };
}

/** Two selectors of the same keys mean nothing. */
function selectors(): JsonObject[] {
  const byKeys = new Map(Array.from({ length: 1 + below(3) }, selector).map((each) => [JSON.stringify((each['keys'] as string[]).toSorted()), each]));
  return [...byKeys.values()];
}

describe.skipIf(envoy.missing !== undefined)(`subsets, by Envoy 1.40 and by Weft${envoy.missing ? ` (skipped: ${envoy.missing})` : ''}`, () => {
  const agent = new Agent({ connections: 4 });
  let servers: Server[];
  let clusters: JsonObject[];
  let routes: JsonObject[][];
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
    clusters = Array.from({ length: variants }, (_, i): JsonObject => {
      const listAsAny = random() < 0.4;
      return {
        name: `c${i}`, type: 'STATIC', connectTimeout: '5s', lbPolicy: 'ROUND_ROBIN',
        lbSubsetConfig: {
          fallbackPolicy: pick('NO_FALLBACK', 'ANY_ENDPOINT', 'DEFAULT_SUBSET'), defaultSubset: labels(false), subsetSelectors: selectors(),
          listAsAny, panicModeAny: random() < 0.3, metadataFallbackPolicy: pick('METADATA_NO_FALLBACK', 'FALLBACK_LIST'),
        },
        loadAssignment: {
          clusterName: `c${i}`,
          endpoints: [{ lbEndpoints: ports.map((each) => ({ endpoint: { address: address(each) }, metadata: { filterMetadata: { 'envoy.lb': labels(true) } } })) }],
        },
      };
    });
    routes = clusters.map(() => Array.from({ length: routesPerCluster }, (): JsonObject => ({ ...labels(false), ...(random() < 0.3 && { fallback_list: [labels(false), labels(false)] }) })));
    port = await freePort();
    process = runEnvoy(envoy.path as string, JSON.stringify({ admin: { address: address(0) }, static_resources: { listeners: [listener(port, routes)], clusters } }));
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

  it.each(Array.from({ length: variants }, (_, i) => i))('reach the same hosts in cluster %i', async (i) => {
    const own = weftCluster(clusters[i] as JsonObject);
    for (const [r, metadataMatch] of (routes[i] as JsonObject[]).entries()) {
      // A rotation meets everybody in as many turns as there are hosts.
      const theirs = new Set(await Promise.all(Array.from({ length: numberOfHosts }, async () => {
        const { statusCode, body } = await request(`http://127.0.0.1:${port}/c${i}/${r}/`, { dispatcher: agent });
        const text = await body.text();
        return statusCode === 200 ? text : String(statusCode);
      })));
      const ours = new Set(Array.from({ length: numberOfHosts }, () => {
        const chosen = own.choose({ attempt: 0, priority: 'default', metadataMatch });
        return chosen instanceof Host ? String(chosen.config.port) : String(chosen.status);
      }));
      expect([...ours].sort(), `seed ${seed}, route ${JSON.stringify(metadataMatch)}, ${JSON.stringify(clusters[i])}`).toEqual([...theirs].sort());
    }
  });
});

function weftCluster(json: JsonObject): Cluster {
  const { resource } = clusterType({ loadBalancers: builtinLoadBalancers, certificateProviders: new Set<string>(), policy: endpointPolicy({ allowLoopback: true }) }).decode(toBinary(ClusterSchema, fromJson(ClusterSchema, json)));
  if (resource.type.kind !== 'static') throw new Error('not static');
  const cluster = new Cluster(resource, clusterContext());
  cluster.setEndpoints(resource.type.assignment);
  return cluster;
}

function address(port: number): JsonObject {
  return { socketAddress: { address: '127.0.0.1', portValue: port } };
}

function listener(port: number, routes: readonly (readonly JsonObject[])[]): JsonObject {
  const all = routes.flatMap((list, i) => list.map((metadata, r): JsonObject => ({ match: { prefix: `/c${i}/${r}/` }, route: { cluster: `c${i}`, metadataMatch: { filterMetadata: { 'envoy.lb': metadata } } } })));
  return {
    name: 'l',
    address: address(port),
    filterChains: [{ filters: [{ name: 'hcm', typedConfig: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
      statPrefix: 'x',
      routeConfig: { virtualHosts: [{ name: 'v', domains: ['*'], routes: all }] },
      httpFilters: [{ name: 'router', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } }],
    } }] }],
  };
}
