// VirtualService mirrors with real parts: copies reach the other version under STRICT mTLS, callers and metrics see only the original.
import { createServer } from 'node:http';
import grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { echoService, type EchoReply } from '../support/echo-servers.js';
import { groupYaml, serviceYaml, strictYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

let mesh: TestMesh;
let caller: TestWorkload;
const received = { shop: [] as string[], copy: [] as string[] };

async function serve(name: 'shop' | 'copy', status: number): Promise<void> {
  const { server } = await mesh.workload(name);
  const app = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk))).on('end', () => {
      received[name].push(`${request.headers.host} ${request.url} ${body}`);
      response.writeHead(status).end(name);
    });
  });
  const service = new grpc.Server(server.grpcOptions());
  service.addService(echoService as unknown as grpc.ServiceDefinition, {
    Echo: (call: grpc.ServerUnaryCall<unknown, EchoReply>, reply: grpc.sendUnaryData<EchoReply>) => {
      received[name].push(`${call.getHost()} ${JSON.stringify(call.request)}`);
      if (status === 200) reply(null, { instance: name, metadata: {} });
      else reply({ code: grpc.status.INTERNAL });
    },
  });
  await server.listen(app, { port: 0, host: '127.0.0.1' });
  await server.listen(service, { port: 0, host: '127.0.0.1' });
}

beforeAll(async () => {
  mesh = await TestMesh.start({
    'services.yaml': `${serviceYaml('shop')}---\n${serviceYaml('copy')}${groupYaml('caller', 'caller')}`,
    'security.yaml': strictYaml,
    'mirror.yaml': `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop]
  http: [{ route: [{ destination: { host: shop } }], mirrors: [{ destination: { host: copy } }, { destination: { host: absent } }] }]
`,
  });
  await serve('shop', 200);
  await serve('copy', 500);
  caller = await mesh.workload('caller');
});

afterAll(() => mesh?.close());

it('HTTP and gRPC requests reach the mirror; callers and istio_requests_total see only the service that was asked', async () => {
  await vi.waitFor(async () => {
    const { statusCode, body } = await caller.client.request('http://shop/pay', { method: 'POST', body: 'ten' });
    expect([statusCode, await body.text()]).toEqual([200, 'shop']);
    expect(received.copy).toContain('shop-shadow /pay ten');
  }, { timeout: 10_000, interval: 50 });
  expect(received.shop.every((line) => line === 'shop /pay ten')).toBe(true);

  const client = new grpc.Client('shop:50051', grpc.credentials.createInsecure(), caller.client.grpc());
  const { requestSerialize, responseDeserialize } = echoService.Echo;
  await vi.waitFor(async () => {
    const reply = await new Promise<EchoReply>((resolve, reject) => client.makeUnaryRequest('/test.Echo/Echo', requestSerialize, responseDeserialize, { n: 1 }, (error, value) => (error ? reject(error) : resolve(value!))));
    expect(reply.instance).toBe('shop');
    expect(received.copy).toContain('shop-shadow:50051 {"n":1}');
  }, { timeout: 10_000, interval: 50 });
  client.close();

  const counted = caller.client.metrics().split('\n').filter((line) => line.startsWith('istio_requests_total{'));
  expect(counted.length).toBeGreaterThan(0);
  expect(counted.filter((line) => line.includes('copy') || line.includes('response_code="500"'))).toEqual([]);
});
