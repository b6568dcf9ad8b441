// mesh.request against round robin over equal undici Pools: same hosts, connections, TLS context; bodies consumed.
import { Pool } from 'undici';
import { createMesh } from '@weft/client';
import { acquireRuntime } from '@weft/data-plane/internal';
import { benchMesh } from './support/bench-mesh.mjs';
import { compare } from './support/compare.mjs';

const bench = await benchMesh('http');
const mesh = createMesh();
await mesh.ready();
const { tls } = acquireRuntime();
const pools = bench.ports.map((port) => {
  const options = tls.upstream({ expectedIds: ['spiffe://cluster.local/ns/default/sa/echo'], alpn: ['http/1.1'] });
  return new Pool(`https://127.0.0.1:${port}`, { allowH2: false, connect: { ...options, maxCachedSessions: 0 } });
});
let next = 0;
const url = 'http://echo.test/';
const ways = [
  {
    name: 'round robin over undici Pools (baseline)',
    once: async () => {
      const { body } = await pools[(next = (next + 1) % pools.length)].request({ method: 'GET', path: '/' });
      await body.arrayBuffer();
    },
  },
  {
    name: 'mesh.request',
    once: async () => {
      const { body } = await mesh.request(url);
      await body.arrayBuffer();
    },
  },
  {
    name: 'undici request with mesh.dispatcher',
    once: async () => {
      const { request } = await import('undici');
      const { body } = await request(url, { dispatcher: mesh.dispatcher });
      await body.arrayBuffer();
    },
  },
];
const [, ratio] = await compare(ways, { inFlight: 32 });
await compare(ways.slice(0, 2), { inFlight: 1, rounds: 5, milliseconds: 1000 });
console.log(`mesh.request / Pools: ${ratio.toFixed(2)} (aim: 0.85 or more)`);
await Promise.all(pools.map((pool) => pool.close()));
await mesh.close();
await bench.close();
process.exit(0);
