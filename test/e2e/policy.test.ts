// Who may call what, and how it must come in: PeerAuthentication and AuthorizationPolicy edited under a running mesh.
import { createServer } from 'node:http';
import grpc from '@grpc/grpc-js';
import { request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { echoService, type EchoReply } from '../support/echo-servers.js';
import { groupYaml, serviceYaml, strictYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

let mesh: TestMesh;
let alice: TestWorkload;
let mallory: TestWorkload;
let httpPort: number;
let handled = 0;

beforeAll(async () => {
  mesh = await TestMesh.start({
    'services.yaml': `${serviceYaml('target')}${groupYaml('alice', 'alice')}${groupYaml('mallory', 'mallory')}`,
    'security.yaml': strictYaml,
  });
  const target = await mesh.workload('target');
  const app = createServer((_incoming, response) => {
    handled += 1;
    response.end('hello');
  });
  httpPort = (await target.server.listen(app, { port: 0, host: '127.0.0.1' })).port;
  const service = new grpc.Server(target.server.grpcOptions());
  service.addService(echoService as unknown as grpc.ServiceDefinition, {
    Echo: (_call: grpc.ServerUnaryCall<unknown, EchoReply>, reply: grpc.sendUnaryData<EchoReply>) => {
      handled += 1;
      reply(null, { instance: 'target', metadata: {} });
    },
  });
  await target.server.listen(service, { port: 0, host: '127.0.0.1' });
  alice = await mesh.workload('alice');
  mallory = await mesh.workload('mallory');
});

afterAll(() => mesh?.close());

const get = async (caller: TestWorkload, path = '/', method = 'GET') => {
  const { statusCode, body } = await caller.client.request(`http://target${path}`, { method });
  return { status: statusCode, body: await body.text() };
};
const rpc = (caller: TestWorkload, path = '/test.Echo/Echo') =>
  new Promise<number>((resolve) => {
    const client = new grpc.Client('target:50051', grpc.credentials.createInsecure(), caller.client.grpc());
    const same = (bytes: Buffer) => bytes;
    client.makeUnaryRequest(path, same, same, Buffer.from('{}'), (error) => {
      client.close();
      resolve(error ? error.code : 0);
    });
  });
const policy = (spec: string) =>
  mesh.config.write('policy.yaml', `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: policy }\nspec: ${spec}\n`);
const eventually = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 10_000, interval: 20 });

describe('AuthorizationPolicy', () => {
  beforeEach(async () => {
    policy('{ action: DENY }');
    await eventually(async () => expect((await get(alice)).status).toBe(200));
  });

  it('an empty spec denies everything, HTTP and gRPC, before the handler runs', async () => {
    policy('{}');
    await eventually(async () => expect((await get(alice)).status).toBe(403));
    const before = handled;
    expect(await get(alice)).toEqual({ status: 403, body: 'RBAC: access denied' });
    await eventually(async () => expect(await rpc(alice)).toBe(grpc.status.PERMISSION_DENIED));
    expect(handled).toBe(before);
  });

  it('covers gRPC methods that no service has', async () => {
    expect(await rpc(alice, '/test.Echo/Nothing')).toBe(grpc.status.UNIMPLEMENTED);
    policy('{}');
    await eventually(async () => expect(await rpc(alice, '/test.Echo/Nothing')).toBe(grpc.status.PERMISSION_DENIED));
  });

  it('ALLOW by principal, method and path', async () => {
    policy(`{ action: ALLOW, rules: [{ from: [{ source: { principals: [cluster.local/ns/default/sa/alice] } }], to: [{ operation: { methods: [GET], paths: [/public/*] } }, { operation: { paths: [/test.Echo/Echo] } }] }] }`);
    await eventually(async () => expect((await get(alice, '/private')).status).toBe(403));
    await eventually(async () => expect(await rpc(mallory)).toBe(grpc.status.PERMISSION_DENIED));
    expect([(await get(alice, '/public/a')).status, (await get(alice, '/public/a', 'DELETE')).status, (await get(mallory, '/public/a')).status, await rpc(alice)]).toEqual([200, 403, 403, 0]);
  });

  it('ALLOW by namespace; DENY beats it', async () => {
    policy('{ action: ALLOW, rules: [{ from: [{ source: { namespaces: [elsewhere] } }] }] }');
    await eventually(async () => expect((await get(alice)).status).toBe(403));
    policy('{ action: ALLOW, rules: [{ from: [{ source: { namespaces: [default] } }] }] }');
    await eventually(async () => expect((await get(alice)).status).toBe(200));
    mesh.config.write('deny.yaml', 'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: deny }\nspec: { action: DENY, rules: [{ from: [{ source: { principals: ["*/sa/mallory"] } }] }] }\n');
    await eventually(async () => expect((await get(mallory)).status).toBe(403));
    expect((await get(alice)).status).toBe(200);
    mesh.config.write('deny.yaml', '# nothing\n');
    await eventually(async () => expect((await get(mallory)).status).toBe(200));
  });

  it.each(['/admin', '/admin?x', '//admin', '/x/../admin', '/./admin', '/%61dmin'])('DENY of /admin holds for %s', async (path) => {
    policy('{ action: DENY, rules: [{ to: [{ operation: { paths: [/admin] } }] }] }');
    await eventually(async () => expect((await get(alice, '/admin')).status).toBe(403));
    expect([403, 400]).toContain((await get(alice, path)).status);
  });

  it('keeps the last good policy when an edit is broken', async () => {
    policy('{ action: DENY, rules: [{ to: [{ operation: { paths: [/admin] } }] }] }');
    await eventually(async () => expect((await get(alice, '/admin')).status).toBe(403));
    policy('{ action: NONSENSE }');
    await eventually(async () => expect(mesh.controlPlane.problems().some(({ severity }) => severity === 'error')).toBe(true));
    expect((await get(alice, '/admin')).status).toBe(403);
    expect((await get(alice, '/')).status).toBe(200);
  });
});

describe('PeerAuthentication', () => {
  const plain = async () => request(`http://127.0.0.1:${httpPort}/`).then(({ statusCode, body }) => body.dump().then(() => statusCode), () => 'refused');
  const mode = (text: string) => mesh.config.write('security.yaml', strictYaml.replace('STRICT', text));

  beforeAll(async () => {
    policy('{ action: DENY }');
    await eventually(async () => expect((await get(alice)).status).toBe(200));
  });

  it('PERMISSIVE takes both on one port, and plain text has no identity', async () => {
    mode('PERMISSIVE');
    await eventually(async () => expect(await plain()).toBe(200));
    expect((await get(alice)).status).toBe(200);
    policy('{ action: ALLOW, rules: [{ from: [{ source: { principals: ["*"] } }] }] }');
    await eventually(async () => expect(await plain()).toBe(403));
    expect((await get(alice)).status).toBe(200);
    policy('{ action: DENY }');
  });

  it('DISABLE is plain text, also between members', async () => {
    mode('DISABLE');
    policy('{ action: ALLOW, rules: [{ from: [{ source: { notPrincipals: ["*"] } }] }, {}] }');
    await eventually(async () => expect(await plain()).toBe(200));
    await eventually(async () => expect((await get(alice)).status).toBe(200));
  });

  it('back to STRICT without a restart', async () => {
    mode('STRICT');
    await eventually(async () => expect(await plain()).toBe('refused'));
    await eventually(async () => expect((await get(alice)).status).toBe(200));
  });
});
