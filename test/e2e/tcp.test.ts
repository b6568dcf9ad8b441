// Byte streams in a real mesh: mutual TLS, policy, weights, limits and metrics on both sides; the application's own TLS inside.
import { once } from 'node:events';
import https from 'node:https';
import { createServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { TLSSocket } from 'node:tls';
import { TestAuthority } from '@weft/spiffe/testing';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { serviceYaml, strictYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

let mesh: TestMesh;
let frontend: TestWorkload;
let batch: TestWorkload;
let database: TestWorkload;

const group = (name: string, app: string) => `---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: ${name} }
spec:
  metadata: { labels: { app: ${app}, version: ${name} } }
  template: { serviceAccount: ${app}, ports: { db: 5432, web: 8443 } }
`;
const service = (name: string) => `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec:
  selector: { app: ${name} }
  ports:
    - { name: db, port: 5432, appProtocol: mysql }
    - { name: web, port: 443, targetPort: web, appProtocol: https }
`;
const policy = (from: string) => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: database }
spec:
  selector: { matchLabels: { app: database } }
  rules: [{ from: [{ source: { principals: ["cluster.local/ns/default/sa/${from}"] } }], to: [{ operation: { ports: ["5432", "8443"] } }] }]
`;
const subsets = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: database }
spec:
  host: database
  subsets: [{ name: old, labels: { version: database } }, { name: new, labels: { version: database-new } }]
`;
const weights = (old: number) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: database }
spec:
  hosts: [database]
  tcp: [{ route: [{ destination: { host: database, subset: old }, weight: ${old} }, { destination: { host: database, subset: new }, weight: ${100 - old} }] }]
`;

const authority = TestAuthority.create('example.com');
const { chainPem: cert, keyPem: key } = authority.issue({ dnsNames: ['database'] });

beforeAll(async () => {
  mesh = await TestMesh.start({
    'database.yaml': service('database') + group('database', 'database') + group('database-new', 'database'),
    'frontend.yaml': serviceYaml('frontend'), 'batch.yaml': serviceYaml('batch'), 'strict.yaml': strictYaml, 'policy.yaml': policy('frontend'), 'subsets.yaml': subsets,
  });
  const serve = async (name: string) => {
    const workload = await mesh.workload(name, 'database');
    // Speaks first, as MySQL does.
    await workload.server.listen(createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {}).write(`${name}\n`);
      socket.pipe(socket);
    }), { port: 0, host: '127.0.0.1', name: 'db' });
    return workload;
  };
  database = await serve('database');
  await serve('database-new');
  await database.server.listen(https.createServer({ cert, key }, (request, response) => void response.end(`secret ${request.url}`)), { port: 0, host: '127.0.0.1', name: 'web', protocol: 'tcp' });
  await database.server.ready();
  frontend = await mesh.workload('frontend');
  batch = await mesh.workload('batch');
});

afterAll(() => mesh.close());

/** Empty where the connection ends without one. */
async function greeting(socket: Socket): Promise<string> {
  const chunk = await new Promise<string>((resolve) => socket.once('data', (data: Buffer) => resolve(data.toString())).once('error', () => resolve('')).once('close', () => resolve('')));
  return chunk.trim();
}

test('a connection is the TLS socket itself, both sides count its bytes', async () => {
  const socket = await frontend.client.connect('database:5432', { allowHalfOpen: true });
  expect(socket).toBeInstanceOf(TLSSocket);
  socket.end(Buffer.alloc(100_000, 'x'));
  const answer = await text(socket);
  expect(answer).toMatch(/^database(-new)?\nx{100000}$/);
  const sent = String(answer.length);
  await vi.waitFor(() => {
    const source = frontend.client.metrics();
    expect(source).toMatch(/istio_tcp_connections_opened_total\{reporter="source",source_workload="frontend".*destination_service="database.default.svc.cluster.local".*request_protocol="tcp",response_flags="-",connection_security_policy="unknown"\} \d/);
    expect(source).toMatch(new RegExp(`istio_tcp_sent_bytes_total\\{reporter="source".*\\} ${sent}\\b`));
    expect(source).toMatch(/istio_tcp_received_bytes_total\{reporter="source".*\} 100000\b/);
    expect(source).toMatch(/istio_tcp_connections_closed_total\{reporter="source".*\} \d/);
  });
});

test('the server knows the caller, counts, and lets nobody in whom policy does not name', async () => {
  await vi.waitFor(async () => {
    const socket = await frontend.client.connect({ host: 'database.default.svc.cluster.local', port: 5432 });
    await greeting(socket);
    socket.destroy();
    expect(database.server.metrics()).toMatch(/istio_tcp_connections_closed_total\{reporter="destination".*source_principal="spiffe:\/\/cluster.local\/ns\/default\/sa\/frontend".*connection_security_policy="mutual_tls"\} \d/);
  });
  const refused = await batch.client.connect('database:5432');
  refused.on('error', () => {});
  expect(await text(refused).catch(() => '')).toBe('');
});

test('who is not allowed any more is cut off', async () => {
  const socket = await frontend.client.connect('database:5432');
  socket.on('error', () => {});
  await greeting(socket);
  const closed = once(socket, 'close').catch(() => undefined);
  mesh.config.write('policy.yaml', policy('batch'));
  await closed;
  mesh.config.write('policy.yaml', policy('frontend'));
  await vi.waitFor(async () => {
    const again = await frontend.client.connect('database:5432');
    again.on('error', () => {});
    expect(await greeting(again)).toMatch('database');
    again.destroy();
  });
});

test('weights of a VirtualService hold for connections', async () => {
  mesh.config.write('weights.yaml', weights(0));
  await vi.waitFor(async () => {
    const names = await Promise.all(Array.from({ length: 8 }, async () => {
      const socket = await frontend.client.connect('database:5432');
      const name = await greeting(socket);
      socket.destroy();
      return name;
    }));
    expect(new Set(names)).toEqual(new Set(['database-new']));
  });
  mesh.config.write('weights.yaml', weights(50));
});

test('max_connections refuses, a port of the wrong protocol is an error', async () => {
  mesh.config.write('subsets.yaml', subsets.replace('  subsets:', '  trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } } }\n  subsets:'));
  mesh.config.write('weights.yaml', weights(100));
  await vi.waitFor(async () => {
    const first = await frontend.client.connect('database:5432');
    try {
      const second = frontend.client.connect('database:5432');
      second.then((socket) => socket.destroy(), () => undefined);
      await expect(second).rejects.toMatchObject({ code: 'WEFT_OVERFLOW', flag: 'UO' });
    } finally {
      first.destroy();
    }
  });
  mesh.config.write('subsets.yaml', subsets);
  await vi.waitFor(async () => {
    const sockets = await Promise.allSettled([1, 2].map(() => frontend.client.connect('database:5432')));
    for (const settled of sockets) if (settled.status === 'fulfilled') settled.value.destroy();
    expect(sockets.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
  });
  await expect(frontend.client.request('http://database:5432/')).rejects.toMatchObject({ code: 'WEFT_WRONG_PROTOCOL' });
  await expect(frontend.client.connect('batch:80')).rejects.toMatchObject({ code: 'WEFT_WRONG_PROTOCOL' });
  await expect(frontend.client.connect('nobody:5432')).rejects.toMatchObject({ code: 'WEFT_UNKNOWN_HOST' });
});

test('a socket for drivers connects when it is told to', async () => {
  const socket = frontend.client.socket();
  const connected = vi.fn();
  socket.setNoDelay(true).on('connect', connected);
  socket.connect(5432, 'database');
  socket.write('early');
  let heard = '';
  for await (const chunk of socket) if ((heard += String(chunk)).includes('early')) break;
  expect(heard).toMatch(/^database(-new)?\nearly$/);
  expect(connected).toHaveBeenCalledOnce();
  expect(socket.destroyed).toBe(true);
});

test('https:// to a service is the application\'s own TLS inside a connection of the mesh', async () => {
  const ca = authority.pem;
  const own = await mesh.workload('frontend', 'frontend', {}, { https: { ca } });
  expect(await (await own.client.request('https://database/a')).body.text()).toBe('secret /a');
  expect(await (await own.client.fetch('https://database/b')).text()).toBe('secret /b');
  const agent = own.client.httpsAgent;
  const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => https.get('https://database/c', { agent, ca }, resolve).on('error', reject));
  expect(await text(response)).toBe('secret /c');
  // Not the mesh's to trust.
  await expect(frontend.client.request('https://database/')).rejects.toThrow(/unable to|self.signed|certificate/);
  await expect(frontend.client.request('https://batch:80/')).rejects.toMatchObject({ code: 'WEFT_WRONG_PROTOCOL' });
  expect(frontend.client.metrics()).not.toMatch(/istio_requests_total\{[^}]*destination_service_name="database"/);
});
