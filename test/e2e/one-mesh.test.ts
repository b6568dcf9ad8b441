// Express, Fastify, node:http and gRPC in one mesh under STRICT mutual TLS, called by fetch, undici, mesh.request and grpc-js.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import express from 'express';
import Fastify from 'fastify';
import grpc from '@grpc/grpc-js';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { echoService, type EchoReply } from '../support/echo-servers.js';
import { groupYaml, serviceYaml, strictYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

let mesh: TestMesh;
let caller: TestWorkload;
const ports: Record<string, number> = {};

beforeAll(async () => {
  mesh = await TestMesh.start({
    'services.yaml': ['express', 'fastify', 'plain', 'rpc'].map((name) => serviceYaml(name)).join('---\n'),
    'caller.yaml': groupYaml('caller', 'caller').replace(/^---\n/, ''),
    'security.yaml': strictYaml,
  });
  const servers: Record<string, (workload: TestWorkload) => Promise<{ port: number }>> = {
    express: ({ server }) => {
      const app = express();
      app.use((incoming, response) => void response.json({ by: 'express', path: incoming.url, host: incoming.get('host') }));
      return server.listen(app, { port: 0, host: '127.0.0.1' });
    },
    fastify: ({ server }) => {
      const app = Fastify();
      app.all('*', async (incoming) => ({ by: 'fastify', path: incoming.url, host: incoming.headers.host }));
      return server.listen(app, { port: 0, host: '127.0.0.1' });
    },
    plain: ({ server }) => server.listen(createServer((incoming, response) => response.end(JSON.stringify({ by: 'plain', path: incoming.url, host: incoming.headers.host }))), { port: 0, host: '127.0.0.1' }),
    rpc: ({ server }) => {
      const service = new grpc.Server(server.grpcOptions());
      service.addService(echoService as unknown as grpc.ServiceDefinition, {
        Echo: (call: grpc.ServerUnaryCall<unknown, EchoReply>, reply: grpc.sendUnaryData<EchoReply>) =>
          reply(null, { instance: 'rpc', metadata: { peer: String(call.getAuthContext()?.sslPeerCertificate?.subjectaltname) } }),
      });
      return server.listen(service, { port: 0, host: '127.0.0.1' });
    },
  };
  for (const [name, listen] of Object.entries(servers)) ports[name] = (await listen(await mesh.workload(name))).port;
  caller = await mesh.workload('caller');
  await caller.client.ready();
});

afterAll(() => mesh?.close());

const get = {
  fetch: async (url: string) => (await caller.client.fetch(url)).json() as Promise<unknown>,
  undici: async (url: string) => (await request(url, { dispatcher: caller.client.dispatcher })).body.json(),
  'mesh.request': async (url: string) => (await caller.client.request(url)).body.json() as Promise<unknown>,
};

describe.each(Object.entries(get))('%s', (_name, call) => {
  it.each(['express', 'fastify', 'plain'])('reaches %s by each of its names', async (by) => {
    for (const host of [by, `${by}.default`, `${by}.default.svc`, `${by}.default.svc.cluster.local`, `${by}:80`]) {
      expect(await call(`http://${host}/a?b=c`)).toMatchObject({ by, path: '/a?b=c', host: host.replace(/:80$/, '') });
    }
  });
});

describe('grpc-js', () => {
  it('reaches a gRPC service, which sees who calls', async () => {
    const Client = grpc.makeGenericClientConstructor(echoService as unknown as grpc.ServiceDefinition, 'Echo');
    for (const target of ['rpc:50051', 'xds:///rpc.default:50051']) {
      const client = new Client(target, grpc.credentials.createInsecure(), caller.client.grpc()) as unknown as { Echo(request: unknown, done: (error: Error | null, reply: EchoReply) => void): void; close(): void };
      const reply = await new Promise<EchoReply>((resolve, reject) => client.Echo({}, (error, answer) => (error ? reject(error) : resolve(answer))));
      expect(reply).toEqual({ instance: 'rpc', metadata: { peer: 'URI:spiffe://cluster.local/ns/default/sa/caller' } });
      client.close();
    }
  });
});

describe('STRICT', () => {
  it.each(['express', 'rpc'])('refuses plain text at %s', async (name) => {
    await expect(request(`http://127.0.0.1:${ports[name]}/`)).rejects.toThrow();
  });

  it.each(['express', 'rpc'])('refuses TLS without a certificate at %s', async (name) => {
    const outcome = await new Promise<string>((resolve) => {
      const socket = tlsConnect({ host: '127.0.0.1', port: ports[name] as number, rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] });
      // TLS 1.3: the client is done before the server has looked at its certificate.
      socket.on('secureConnect', () => socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'));
      socket.on('data', (chunk) => resolve(`answered: ${chunk.toString()}`));
      socket.on('error', () => resolve('refused'));
      socket.on('close', () => resolve('refused'));
    });
    expect(outcome).toBe('refused');
  });

  it('refuses a listener that speaks for somebody else', async () => {
    const impostor = createServer((_incoming, response) => response.end('impostor')).listen(0, '127.0.0.1');
    await new Promise((resolve) => impostor.once('listening', resolve));
    const { port } = impostor.address() as AddressInfo;
    mesh.config.write('impostor.yaml', `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: impostor }
spec:
  hosts: [impostor.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${ports['express']} }, serviceAccount: somebody-else }, { address: 127.0.0.1, ports: { http: ${port} }, serviceAccount: caller }]
`);
    const outcome = () => caller.client.request('http://impostor.test/').then(({ statusCode }) => String(statusCode), (error: Error & { code: string }) => error.code);
    await vi.waitFor(async () => expect(await outcome()).not.toBe('ENOTFOUND'), { timeout: 5000 });
    // Which of the two a request tries last is chance.
    const outcomes = new Set<string>();
    for (let i = 0; i < 10 || (outcomes.size < 2 && i < 200); i += 1) outcomes.add(await outcome());
    impostor.closeAllConnections();
    impostor.close();
    // One endpoint shows another identity than it should, the other cannot speak TLS: neither is ever talked to.
    expect(outcomes).toEqual(new Set(['WEFT_PEER_IDENTITY', '503']));
  });
});

describe('names that are not in the mesh', () => {
  it('fail at once where they can only be the mesh\'s', async () => {
    await expect(caller.client.request('http://nobody/')).rejects.toMatchObject({ code: 'WEFT_UNKNOWN_HOST' });
    await expect(caller.client.request('http://nobody.default.svc.cluster.local/')).rejects.toMatchObject({ code: 'WEFT_UNKNOWN_HOST' });
  });
});
