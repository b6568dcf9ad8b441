import { Client, Metadata, Server, ServerCredentials, status, type ServiceError } from '@grpc/grpc-js';
import { afterEach, expect, it } from 'vitest';
import { channelCredentials, controlPlaneCredentials, IdentityHolder, MeshServerCredentials, TlsContexts, X509Svid, type SvidSource } from './index.js';
import { bundlesOf, TestAuthority } from './testing.js';

const a = TestAuthority.create('td.a');
const cleanups: (() => void)[] = [];
afterEach(() => cleanups.splice(0).forEach((cleanup) => cleanup()));

const bytes = (value: Buffer) => value;
const path = '/test.Who/Ami';

async function serve(source: SvidSource, requireClientCertificate = true) {
  const server = new Server();
  server.addService(
    { ami: { path, requestStream: false, responseStream: false, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes } },
    { ami: (call: { getAuthContext(): { sslPeerCertificate?: { subjectaltname?: string } } }, done: (error: null, value: Buffer) => void) => done(null, Buffer.from(call.getAuthContext().sslPeerCertificate?.subjectaltname ?? 'anonymous')) },
  );
  const credentials = new MeshServerCredentials(new TlsContexts(source), { requireClientCertificate });
  cleanups.push(() => (server.forceShutdown(), credentials.close()));
  return new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', credentials, (error, port) => (error ? reject(error) : resolve(port))));
}

function dial(port: number, source: SvidSource, expectedIds: string[] = [], credentials = channelCredentials(new TlsContexts(source), { expectedIds })) {
  const client = new Client(`127.0.0.1:${port}`, credentials, { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 100 });
  cleanups.push(() => client.close());
  return (waitForReady = false) =>
    new Promise<string>((resolve, reject) => {
      const metadata = new Metadata({ waitForReady });
      client.makeUnaryRequest(path, bytes, bytes, Buffer.alloc(0), metadata, { deadline: Date.now() + 5000 }, (error: ServiceError | null, value?: Buffer) => (error ? reject(error) : resolve(String(value))));
    });
}

it('authenticates both ends of a gRPC call', async () => {
  const port = await serve(a.source('/server'));
  expect(await dial(port, a.source('/web'), ['spiffe://td.a/server'])()).toBe('URI:spiffe://td.a/web');
  await expect(dial(port, a.source('/web'), ['spiffe://td.a/other'])()).rejects.toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('expected spiffe://td.a/other') });
});

it('refuses a client of another authority where a certificate is required', async () => {
  const port = await serve(a.source('/server'));
  const stranger = new IdentityHolder();
  stranger.set(TestAuthority.create('td.a').svid('/web'), bundlesOf(a));
  await expect(dial(port, stranger)()).rejects.toMatchObject({ code: status.UNAVAILABLE });
});

it('takes an untrusted certificate for none where it is optional', async () => {
  const port = await serve(a.source('/server'), false);
  const stranger = new IdentityHolder();
  stranger.set(TestAuthority.create('td.a').svid('/web'), bundlesOf(a));
  expect(await dial(port, stranger)()).toBe('anonymous');
});

it('takes for a control plane its SPIFFE ID or the dialled host name, and no workload', async () => {
  const client = a.source('/web');
  const controlPlane = (port: number) => dial(port, client, [], controlPlaneCredentials(new TlsContexts(client), 'istiod.example'))();
  expect(await controlPlane(await serve(a.source('/ns/istio-system/sa/weft-control-plane')))).toContain('/web');
  const named = new IdentityHolder();
  named.set(X509Svid.parse(a.issue({ uris: ['spiffe://td.a/istiod'], dnsNames: ['istiod.example'] })), bundlesOf(a));
  expect(await controlPlane(await serve(named))).toContain('/web');
  await expect(controlPlane(await serve(a.source('/ns/istio-system/sa/other')))).rejects.toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('not a control plane') });
  const foreign = TestAuthority.create('td.a').source('/ns/istio-system/sa/weft-control-plane');
  await expect(controlPlane(await serve(foreign, false))).rejects.toMatchObject({ code: status.UNAVAILABLE });
});

it('follows rotation on both sides without a new server or channel', async () => {
  const next = TestAuthority.create('td.a');
  const serverSource = a.source('/server');
  const clientSource = a.source('/web');
  const port = await serve(serverSource);
  const call = dial(port, clientSource);
  expect(await call()).toContain('/web');
  // The connection that exists stays; only a new one shows the new identity, so the server is left and found again.
  serverSource.set(next.svid('/server'), bundlesOf(next));
  await expect(dial(port, a.source('/web'))()).rejects.toMatchObject({ code: status.UNAVAILABLE });
  expect(await call()).toContain('/web');
  clientSource.set(next.svid('/web2'), bundlesOf(next));
  expect(await dial(port, clientSource)()).toContain('/web2');
});

it('makes new connections of an old channel with the newest identity', async () => {
  const next = TestAuthority.create('td.a');
  const clientSource = a.source('/web');
  const call = dial(await serve(next.source('/server')), clientSource);
  await expect(call()).rejects.toMatchObject({ code: status.UNAVAILABLE });
  clientSource.set(next.svid('/web2'), bundlesOf(next));
  expect(await call(true)).toContain('/web2');
});

it('drops connections until the server has an identity, and channels wait for theirs', async () => {
  const serverSource = new IdentityHolder();
  const clientSource = new IdentityHolder();
  const port = await serve(serverSource);
  const waiting = dial(port, clientSource)(true);
  clientSource.set(a.svid('/web'), bundlesOf(a));
  serverSource.set(a.svid('/server'), bundlesOf(a));
  expect(await waiting).toContain('/web');
});

it('is equal to itself only, so that grpc-js never shares a server port or a connection between identities', () => {
  const contexts = new TlsContexts(a.source('/web'));
  const one = channelCredentials(contexts, { expectedIds: ['spiffe://td.a/x'] });
  const two = channelCredentials(contexts, { expectedIds: ['spiffe://td.a/y'] });
  expect([one._equals(one), one._equals(two), one._isSecure()]).toEqual([true, false, true]);
  const server = new MeshServerCredentials(contexts, { requireClientCertificate: true });
  expect([server._equals(server), server._equals(ServerCredentials.createInsecure())]).toEqual([true, false]);
});
