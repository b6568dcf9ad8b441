// Deadlines, cancellation and retries over two hops: what the first caller wants reaches the last server, without a word in the service between them.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { currentContext } from '@weft/data-plane/internal';
import grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { echoService, type EchoReply } from '../support/echo-servers.js';
import { groupYaml, serviceYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

const retrying = (name: string) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec:
  hosts: [${name}]
  http:
    - route: [{ destination: { host: ${name} } }]
      retries: { attempts: 2, retryOn: '5xx,unavailable', backoff: 1ms }
`;

let mesh: TestMesh;
let caller: TestWorkload;
/** What the last server got, and how it is to answer. */
const got: { headers: Record<string, string>; deadline: number | undefined; closed: boolean }[] = [];
let answer: 'echo' | 'fail' | 'silence' = 'echo';

const workloads = ['front', 'modest'];

/** What the requests of a handler inherit; the header that says it is not the application's to see. */
function inherited(): number | undefined {
  const deadline = currentContext()?.deadline;
  return deadline === undefined ? undefined : Date.now() + (deadline - performance.now());
}

beforeAll(async () => {
  mesh = await TestMesh.start({
    'services.yaml': ['back', ...workloads].map((name) => serviceYaml(name)).join('---\n'),
    'rules.yaml': ['back', ...workloads].map(retrying).join('---\n'),
    'caller.yaml': groupYaml('caller', 'caller').replace(/^---\n/, ''),
  });
  const back = await mesh.workload('back');
  await back.server.listen(createServer((request, response) => {
    const one = { headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])), deadline: inherited(), closed: false };
    got.push(one);
    response.once('close', () => (one.closed = !response.writableFinished));
    if (answer === 'silence') return;
    response.statusCode = answer === 'fail' ? 503 : 200;
    response.end('back');
  }), { port: 0, host: '127.0.0.1', name: 'http' });
  const rpc = new grpc.Server(back.server.grpcOptions());
  rpc.addService(echoService as unknown as grpc.ServiceDefinition, {
    Echo(call: grpc.ServerUnaryCall<unknown, EchoReply>, reply: grpc.sendUnaryData<EchoReply>) {
      const one = { headers: Object.fromEntries(Object.entries(call.metadata.getMap()).map(([name, value]) => [name, String(value)])), deadline: Number(call.getDeadline()), closed: false };
      got.push(one);
      call.on('cancelled', () => (one.closed = true));
      if (answer === 'fail') reply({ code: grpc.status.UNAVAILABLE, details: 'told to fail' });
      else if (answer === 'echo') reply(null, { instance: 'back', metadata: {} });
    },
  });
  await back.server.listen(rpc, { port: 0, host: '127.0.0.1', name: 'grpc' });
  for (const name of workloads) await front(name);
  caller = await mesh.workload('caller');
  await caller.client.ready();
});

afterAll(() => mesh?.close());

/** A service that does nothing but ask the last one, over HTTP and gRPC. */
async function front(name: string): Promise<void> {
  const workload = await mesh.workload(name, name, name === 'modest' ? { retries: { ofRetries: false } } : {});
  const { client, server } = workload;
  await server.listen(createServer((_request: IncomingMessage, response: ServerResponse) => {
    client.request('http://back/').then(
      async ({ statusCode, body }) => {
        response.statusCode = statusCode;
        response.end(await body.text());
      },
      () => response.writeHead(500).end(),
    );
  }), { port: 0, host: '127.0.0.1', name: 'http' });
  const rpc = new grpc.Server(server.grpcOptions());
  const back = new grpc.Client('xds:///back:50051', grpc.credentials.createInsecure(), client.grpc());
  const { path, requestSerialize, responseDeserialize } = echoService.Echo;
  rpc.addService(echoService as unknown as grpc.ServiceDefinition, {
    Echo: (_call: grpc.ServerUnaryCall<unknown, EchoReply>, reply: grpc.sendUnaryData<EchoReply>) =>
      void back.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, (error, value) => (error ? reply({ code: error.code, details: error.details }) : reply(null, value))),
  });
  await server.listen(rpc, { port: 0, host: '127.0.0.1', name: 'grpc' });
}

function call(name: string, options: grpc.CallOptions = {}): { cancel(): void; code: Promise<number> } {
  const client = new grpc.Client(`xds:///${name}:50051`, grpc.credentials.createInsecure(), caller.client.grpc());
  const { path, requestSerialize, responseDeserialize } = echoService.Echo;
  let cancel = () => {};
  const code = new Promise<number>((resolve) => {
    const running = client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, new grpc.Metadata(), options, () => undefined);
    running.on('status', (status: { code: number }) => resolve(status.code));
    cancel = () => running.cancel();
  });
  return { cancel: () => cancel(), code: code.finally(() => client.close()) };
}

function start(how: typeof answer): void {
  answer = how;
  got.length = 0;
}

describe('two hops', () => {
  it('pass on what is left of the caller\'s time: HTTP', async () => {
    start('echo');
    const deadline = Date.now() + 5000;
    const response = await caller.client.request('http://front/', { headers: { 'x-envoy-upstream-rq-timeout-ms': '5000' } });
    expect(await response.body.text()).toBe('back');
    expect(got[0]!.deadline).toBeLessThan(deadline + 1000);
  });

  it('pass on what is left of the caller\'s time: gRPC', async () => {
    start('echo');
    const deadline = Date.now() + 5000;
    expect(await call('front', { deadline }).code).toBe(grpc.status.OK);
    expect(got[0]!.deadline).toBeLessThan(deadline + 1000);
  });

  it('end with the caller\'s time', async () => {
    start('silence');
    const response = await caller.client.request('http://front/', { headers: { 'x-envoy-upstream-rq-timeout-ms': '1500' } });
    expect(response.statusCode).toBe(504);
    await response.body.dump();
    expect(await call('front', { deadline: Date.now() + 1500 }).code).toBe(grpc.status.DEADLINE_EXCEEDED);
    await vi.waitFor(() => expect(got.map(({ closed }) => closed)).toEqual([true, true]), { timeout: 5000 });
  });

  it('end with the caller', async () => {
    start('silence');
    const controller = new AbortController();
    const response = caller.client.request('http://front/', { signal: controller.signal });
    response.catch(() => undefined);
    const running = call('front');
    await vi.waitFor(() => expect(got.length).toBe(2), { timeout: 5000 });
    controller.abort();
    running.cancel();
    await expect(response).rejects.toThrow();
    expect(await running.code).toBe(grpc.status.CANCELLED);
    await vi.waitFor(() => expect(got.map(({ closed }) => closed)).toEqual([true, true]), { timeout: 5000 });
  });

  it('multiply their retries, unless a client sends once what serves a retry', async () => {
    for (const [name, expected] of [['front', 9], ['modest', 5]] as const) {
      start('fail');
      const response = await caller.client.request(`http://${name}/`);
      expect(response.statusCode).toBe(503);
      await response.body.dump();
      expect([name, got.length]).toEqual([name, expected]);
      start('fail');
      expect(await call(name).code).toBe(grpc.status.UNAVAILABLE);
      expect([name, got.length]).toEqual([name, expected]);
    }
  });
});
