// Database drivers over the mesh, as docs/protocols.md shows them. Their servers are just enough of one.
import { createServer, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serviceYaml, strictYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

let mesh: TestMesh;
let frontend: TestWorkload;

const databaseYaml = `apiVersion: v1
kind: Service
metadata: { name: db }
spec:
  selector: { app: db }
  ports: [{ name: tcp-pg, port: 5432 }, { name: redis, port: 6379 }]
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: db }
spec:
  metadata: { labels: { app: db } }
  template: { serviceAccount: db, ports: { tcp-pg: 5432, redis: 6379 } }
`;

const message = (type: string, body: Buffer): Buffer => {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};
const ready = message('Z', Buffer.from('I'));

/** Lets everybody in, and answers every query with one row that repeats it. */
function postgres(socket: Socket): void {
  let started = false;
  socket.on('error', () => {}).on('data', (data: Buffer) => {
    if (!started) {
      started = true;
      return void socket.write(Buffer.concat([message('R', Buffer.alloc(4)), ready]));
    }
    if (data.toString('latin1', 0, 1) !== 'Q') return;
    const query = data.subarray(5, -1);
    const column = Buffer.concat([Buffer.from([0, 1]), Buffer.from('text\0'), Buffer.alloc(6), Buffer.from([0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0])]);
    const length = Buffer.alloc(4);
    length.writeInt32BE(query.length);
    socket.write(Buffer.concat([message('T', column), message('D', Buffer.concat([Buffer.from([0, 1]), length, query])), message('C', Buffer.from('SELECT 1\0')), ready]));
  });
}

/** Answers every command with the number of its words. */
function redis(socket: Socket): void {
  socket.on('error', () => {}).on('data', (data: Buffer) => {
    for (const [, words] of data.toString().matchAll(/\*(\d+)\r\n/g)) socket.write(`:${words}\r\n`);
  });
}

beforeAll(async () => {
  mesh = await TestMesh.start({ 'db.yaml': databaseYaml, 'frontend.yaml': serviceYaml('frontend'), 'strict.yaml': strictYaml });
  const db = await mesh.workload('db');
  await db.server.listen(createServer(postgres), { port: 0, host: '127.0.0.1', name: 'tcp-pg' });
  await db.server.listen(createServer(redis), { port: 0, host: '127.0.0.1', name: 'redis' });
  await db.server.ready();
  frontend = await mesh.workload('frontend');
});

afterAll(() => mesh.close());

test('pg takes a socket of the mesh', async () => {
  const pool = new pg.Pool({ host: 'db', port: 5432, user: 'u', database: 'd', max: 2, stream: () => frontend.client.socket() as never });
  const answers = await Promise.all(['select 1', 'select 2', 'select 3'].map(async (query) => (await pool.query<{ text: string }>(query)).rows[0]!.text));
  expect(answers).toEqual(['select 1', 'select 2', 'select 3']);
  await pool.end();
});

test('pg hears why there is no connection', async () => {
  const client = new pg.Client({ host: 'nobody', port: 5432, stream: () => frontend.client.socket() as never });
  await expect(client.connect()).rejects.toMatchObject({ code: 'WEFT_UNKNOWN_HOST' });
});

test('ioredis takes a connector of the mesh', async () => {
  const { client } = frontend;
  class MeshConnector {
    readonly #options: { host: string; port: number };
    #stream: Socket | undefined;

    constructor(options: unknown) {
      this.#options = options as { host: string; port: number };
    }

    async connect(): Promise<Socket> {
      return (this.#stream = await client.connect({ host: this.#options.host, port: this.#options.port }));
    }

    check(): boolean {
      return true;
    }

    disconnect(): void {
      this.#stream?.end();
    }
  }
  const cache = new Redis({ host: 'db', port: 6379, Connector: MeshConnector as never, enableReadyCheck: false, maxRetriesPerRequest: 0 });
  expect(await cache.call('SET', 'a', 'b')).toBe(3);
  expect(await Promise.all([cache.call('GET', 'a'), cache.call('X')])).toEqual([2, 1]);
  cache.disconnect();
});
