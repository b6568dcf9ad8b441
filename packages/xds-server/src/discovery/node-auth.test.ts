import { credentials as grpcCredentials, type ChannelCredentials } from '@grpc/grpc-js';
import { channelCredentials, MeshServerCredentials, TlsContexts } from '@weft/spiffe';
import { FakeClock, TestAuthority } from '@weft/spiffe/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AdsTestClient, contentsOf, weftNode } from './testing.js';
import { startDiscovery, type TestServer } from './testing-server.js';

const authority = TestAuthority.create('cluster.local');
const node = (metadata: Record<string, string>) => weftNode({ metadata });

let clock: FakeClock;
let server: TestServer;
const clients: AdsTestClient[] = [];
beforeEach(async () => {
  clock = new FakeClock();
  const contexts = new TlsContexts(authority.source('/ns/istio-system/sa/weft-control-plane'));
  server = await startDiscovery({ clock, credentials: new MeshServerCredentials(contexts, { requireClientCertificate: false }) });
  server.set({ 'cluster/a': 'a1' });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server.close();
});

function as(path: string): AdsTestClient {
  return connect(channelCredentials(new TlsContexts(authority.source(path)), { expectedIds: [] }));
}

function connect(credentials: ChannelCredentials): AdsTestClient {
  const client = new AdsTestClient(server.address, credentials);
  clients.push(client);
  return client;
}

function group(serviceAccount: string) {
  server.model.replace('group', [
    { type: 'workload-group', key: 'shop/web', namespace: 'shop', name: 'web', origin: 'WorkloadGroup shop/web', createdAt: 0, labels: {}, serviceAccount, ports: {}, locality: { region: '', zone: '', subZone: '' }, network: '' },
  ]);
}

describe('the TLS port', () => {
  it('serves a workload of the namespace it claims', async () => {
    const stream = as('/ns/shop/sa/web').delta(node({ NAMESPACE: 'shop' }));
    stream.subscribe('cluster', 'a');
    expect(contentsOf(await stream.next())).toEqual(['a=a1']);
    expect(server.discovery.streams[0]!.caller).toMatchObject({ spiffeId: 'spiffe://cluster.local/ns/shop/sa/web', serviceAccount: 'web' });
  });

  it('wants a client certificate', async () => {
    const stream = connect(grpcCredentials.createSsl(Buffer.from(authority.pem), null, null, { checkServerIdentity: () => undefined })).delta();
    stream.subscribe('cluster', 'a');
    expect(await stream.ended).toMatchObject({ code: 16, details: 'a client certificate of this mesh is required' });
  });

  it.each([
    ['another namespace', '/ns/shop/sa/web', { NAMESPACE: 'bank' }, 'node weft~127.0.0.1~web.default~default.svc.cluster.local claims namespace bank, its identity is spiffe://cluster.local/ns/shop/sa/web'],
    ['the default namespace by saying none', '/ns/shop/sa/web', {}, 'claims namespace default'],
    ['the WorkloadGroup of another account', '/ns/shop/sa/other', { NAMESPACE: 'shop', AUTO_REGISTER_GROUP: 'web' }, 'WorkloadGroup shop/web is for service account web, the identity of node'],
    ['anything with an identity that names no account', '/router', { NAMESPACE: 'shop' }, 'does not name a service account'],
  ])('refuses a client that claims %s', async (_, path, metadata: Record<string, string>, reason) => {
    group('web');
    const stream = as(path).delta(node(metadata));
    stream.subscribe('cluster', 'a');
    const ended = await stream.ended;
    expect([ended.code, ended.details]).toEqual([7, expect.stringContaining(reason)]);
  });

  it('ends a stream when its WorkloadGroup passes to another account', async () => {
    group('web');
    const stream = as('/ns/shop/sa/web').delta(node({ NAMESPACE: 'shop', AUTO_REGISTER_GROUP: 'web' }));
    stream.subscribe('cluster', 'a');
    await stream.next();
    group('admin');
    expect(await stream.ended).toMatchObject({ code: 7, details: expect.stringContaining('is for service account admin') as string });
  });

  it('ends a stream when the client certificate expires', async () => {
    const stream = as('/ns/shop/sa/web').delta(node({ NAMESPACE: 'shop' }));
    stream.subscribe('cluster', 'a');
    await stream.next();
    clock.advance(3_590_000);
    expect(server.discovery.streams).toHaveLength(1);
    clock.advance(20_000);
    expect(await stream.ended).toMatchObject({ code: 16, details: expect.stringContaining('expired') as string });
  });
});

it('a private key in a raw Secret goes to nobody who did not show who it is', async () => {
  server.set({ 'secret/key': 'private', 'secret/ROOTCA': 'public' });
  const known = as('/ns/shop/sa/web').delta(node({ NAMESPACE: 'shop' }));
  known.subscribe('secret', 'key', 'ROOTCA');
  expect(contentsOf(await known.next()).sort()).toEqual(['ROOTCA=public', 'key=private']);
  const plain = await startDiscovery();
  plain.set({ 'secret/key': 'private', 'secret/ROOTCA': 'public' });
  const client = new AdsTestClient(plain.address);
  const stranger = client.delta(node({ NAMESPACE: 'shop' }));
  stranger.subscribe('secret', 'key', 'ROOTCA');
  const response = await stranger.next();
  expect([contentsOf(response), response.removedResources]).toEqual([['ROOTCA=public'], ['key']]);
  client.close();
  await plain.close();
});
