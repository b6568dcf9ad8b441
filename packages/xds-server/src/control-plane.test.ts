import { channelCredentials, controlPlaneId, MeshServerCredentials, TlsContexts } from '@weft/spiffe';
import { FakeClock, TestAuthority } from '@weft/spiffe/testing';
import { MemoryStore, type Store } from '@weft/store';
import { createServer, type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ControlPlane, type ControlPlaneOptions } from './control-plane.js';
import { AdsTestClient, contentsOf, weftNode } from './discovery/testing.js';
import { rawProfile } from './discovery/testing-server.js';
import { typeUrls } from './generate/generator.js';

const authority = TestAuthority.create('cluster.local');
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Only raw resources are served, so that the tests say what clients get. */
const profiles = { weft: rawProfile('weft'), grpc: rawProfile('grpc'), envoy: rawProfile('envoy') };

function controlPlane(options: Partial<ControlPlaneOptions> = {}): ControlPlane {
  const plane = new ControlPlane({ sources: [], store: new MemoryStore(), xdsPort: 0, httpPort: 0, profiles, ...options });
  cleanups.push(() => plane.close({ drainMs: 0 }));
  return plane;
}

function withTls(options: Partial<ControlPlaneOptions> = {}): ControlPlane {
  const contexts = new TlsContexts(authority.source(controlPlaneId('cluster.local').path));
  return controlPlane({ tlsCredentials: new MeshServerCredentials(contexts, { requireClientCertificate: false }), xdsTlsPort: 0, ...options });
}

function connect(address: string, identity?: string): AdsTestClient {
  const contexts = identity === undefined ? undefined : new TlsContexts(authority.source(identity));
  const client = new AdsTestClient(address, contexts && channelCredentials(contexts, { expectedIds: [controlPlaneId('cluster.local').toString()], servername: 'weft' }));
  cleanups.push(() => client.close());
  return client;
}

const raw = (resourceName: string, text: string, type: keyof typeof typeUrls = 'endpoint') => ({
  type: 'raw-resource' as const, key: `raw/${type}/${resourceName}`, namespace: '', name: resourceName, origin: 'test', createdAt: 0,
  typeUrl: typeUrls[type], resourceName, value: new TextEncoder().encode(text),
});

const group = {
  type: 'workload-group' as const, key: 'shop/web', namespace: 'shop', name: 'web', origin: 'WorkloadGroup shop/web', createdAt: 0,
  labels: { app: 'web' }, serviceAccount: 'web', ports: { http: 8080 }, locality: { region: '', zone: '', subZone: '' }, network: '',
};
const webNode = weftNode({ metadata: { AUTO_REGISTER_GROUP: 'web', NAMESPACE: 'shop', INSTANCE_IPS: '10.0.0.5' } });
const inbound = 'weft/inbound/http/10.0.0.5:41000';

const get = async (http: string, path: string) => (await fetch(`http://${http}${path}`)).json() as Promise<Record<string, never[]>>;

describe('the control plane', () => {
  it('serves a raw resource to a real gRPC client, and its changes', async () => {
    const plane = controlPlane();
    plane.model.replace('file', [raw('a', 'one')]);
    const { xds } = await plane.start();
    const stream = connect(xds).delta();
    stream.subscribe('endpoint', 'a');
    expect(contentsOf(await stream.next())).toEqual(['a=one']);
    plane.model.replace('file', [raw('a', 'two')]);
    expect(contentsOf(await stream.next())).toEqual(['a=two']);
  });

  it('says which port is taken, and leaves none open', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    cleanups.push(() => taken.close());
    const { port } = taken.address() as AddressInfo;
    for (const [what, option] of [['xds', 'xdsPort'], ['http', 'httpPort']] as const) {
      const error = await controlPlane({ [option]: port }).start().catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: 'PortInUse', code: 'EADDRINUSE', message: `${what} port: 127.0.0.1:${port} is in use by another process` });
    }
  });

  it('keeps plain text xDS on loopback when it binds elsewhere, unless that is allowed', async () => {
    expect((await controlPlane({ address: '0.0.0.0' }).start()).xds).toMatch(/^127\.0\.0\.1:/);
    expect((await controlPlane({ address: '0.0.0.0', allowInsecure: true }).start()).xds).toMatch(/^0\.0\.0\.0:/);
  });

  it('registers what an authenticated Weft server listens on, and withdraws it when it stops', async () => {
    const plane = withTls();
    plane.model.replace('group', [group]);
    plane.model.replace('file', [raw(inbound, 'listener', 'listener')]);
    const { xdsTls, http } = await plane.start();
    const stream = connect(xdsTls, '/ns/shop/sa/web').delta(webNode);
    stream.subscribe('listener', inbound);
    expect(contentsOf(await stream.next())).toEqual([`${inbound}=listener`]);
    expect(await get(http, '/v1/registrations')).toMatchObject({ registrations: [{ workload: 'web-10.0.0.5-41000', portName: 'http', serviceAccount: 'web', health: 'healthy', holders: [webNode.id] }] });
    stream.request({ typeUrl: 'type.googleapis.com/istio.v1.HealthInformation', errorDetail: { code: 13, message: 'draining' } });
    await vi.waitFor(() => expect(plane.registrar.list()[0]!.health).toBe('unhealthy'));
    stream.request({ typeUrl: 'type.googleapis.com/istio.v1.HealthInformation' });
    await vi.waitFor(() => expect(plane.registrar.list()[0]!.health).toBe('healthy'));
    stream.unsubscribe('listener', inbound);
    await vi.waitFor(() => expect(plane.registrar.size).toBe(0));
  });

  it('gives no Listener to a server whose WorkloadGroup does not exist, until it does', async () => {
    const plane = withTls();
    plane.model.replace('file', [raw(inbound, 'listener', 'listener')]);
    const { xdsTls } = await plane.start();
    const stream = connect(xdsTls, '/ns/shop/sa/web').delta(webNode);
    stream.subscribe('listener', inbound);
    expect((await stream.next()).removedResources).toEqual([inbound]);
    expect(plane.registrar.list()[0]!.problem).toContain('WorkloadGroup shop/web does not exist');
    plane.model.replace('group', [group]);
    expect(contentsOf(await stream.next())).toEqual([`${inbound}=listener`]);
    expect(plane.registrar.list()[0]!.problem).toBeUndefined();
  });

  it.each([
    ['a plain text client', undefined, webNode],
    ['a client without group', '/ns/shop/sa/web', weftNode({ metadata: { NAMESPACE: 'shop' } })],
    ['a client that is not Weft', '/ns/shop/sa/web', { ...webNode, userAgentName: 'envoy' }],
  ])('registers nothing for %s', async (_, identity, node) => {
    const plane = withTls();
    plane.model.replace('group', [group]);
    const { xds, xdsTls } = await plane.start();
    const stream = connect(identity === undefined ? xds : xdsTls, identity).delta(node);
    stream.subscribe('listener', inbound);
    await stream.next();
    expect(plane.registrar.size).toBe(0);
  });

  it('keeps registrations over a restart', async () => {
    const store: Store = new MemoryStore();
    const clock = new FakeClock();
    const first = withTls({ store });
    first.model.replace('group', [group]);
    const { xdsTls } = await first.start();
    const stream = connect(xdsTls, '/ns/shop/sa/web').delta(webNode);
    stream.subscribe('listener', inbound);
    await stream.next();
    await first.close({ drainMs: 0 });
    expect(await stream.ended).toMatchObject({ code: 0 });
    const second = withTls({ store, clock, graceMs: 60_000 });
    second.model.replace('group', [group]);
    await second.start();
    clock.advance(59_999);
    expect(second.model.reader(() => undefined).workloadsByAddress('shop', '10.0.0.5')).toHaveLength(1);
    clock.advance(1);
    expect(second.model.reader(() => undefined).workloadsByAddress('shop', '10.0.0.5')).toHaveLength(0);
  });

  it('shows its clients, what they have and how they answered', async () => {
    const plane = withTls();
    plane.model.replace('file', [raw('good', ''), raw('bad', '')]);
    const { xdsTls, http } = await plane.start();
    const stream = connect(xdsTls, '/ns/default/sa/web').delta(weftNode({ userAgentVersionType: { case: 'userAgentVersion', value: '1.2' } }));
    stream.subscribe('endpoint', 'good', 'missing');
    stream.ack(await stream.next());
    stream.subscribe('endpoint', 'bad');
    stream.nack(await stream.next(), 'no endpoints');
    const version = expect.stringMatching(/^[0-9a-f]{16}$/) as string;
    await vi.waitFor(async () =>
      expect(await get(http, '/v1/clients')).toMatchObject({
        clients: [
          {
            node: webNode.id, identity: 'spiffe://cluster.local/ns/default/sa/web', profile: 'weft', protocol: 'delta', namespace: 'default', userAgent: 'weft 1.2',
            subscriptions: [
              {
                type: 'endpoint', rejected: { reason: 'no endpoints' },
                resources: [{ name: 'good', status: 'acked', version }, { name: 'missing', status: 'absent', version: '' }, { name: 'bad', status: 'nacked', version, reason: 'no endpoints' }],
              },
            ],
          },
        ],
      }),
    );
    expect(await get(http, `/v1/resources?node=${encodeURIComponent(webNode.id!)}&name=good`)).toEqual({ resources: [{ type: 'endpoint', name: 'good', version, resource: {} }] });
    expect((await fetch(`http://${http}/v1/resources?node=nobody`)).status).toBe(404);
  });

  it('lists its API and answers probes, metrics, services and problems', async () => {
    const plane = controlPlane({ adminToken: 't' });
    plane.admin.route('GET', '/v1/ca', () => ({ from: 'elsewhere' }));
    plane.model.replace('service', [
      {
        type: 'service', key: 'default/web', namespace: 'default', name: 'web', origin: 'Service default/web', createdAt: 0, host: 'web.default.svc.cluster.local', cluster: true,
        ports: [{ number: 80, name: 'http', protocol: 'http', targetPort: 80 }], addresses: [], exportTo: ['*'], location: 'internal', resolution: 'static', selector: {}, endpoints: [], subjectAltNames: [],
      },
    ]);
    const { xds, http } = await plane.start();
    connect(xds).delta().subscribe('cluster', 'x');
    await vi.waitFor(() => expect(plane.discovery.stats.pushes.size).toBe(1));
    expect((await get(http, '/v1'))['routes']).toEqual(expect.arrayContaining([{ method: 'GET', path: '/v1/clients' }, { method: 'GET', path: '/v1/ca' }]));
    expect(await get(http, '/v1/ca')).toEqual({ from: 'elsewhere' });
    expect(await get(http, '/v1/services')).toMatchObject({ services: [{ host: 'web.default.svc.cluster.local', ports: [{ number: 80, endpoints: [] }] }] });
    expect(await get(http, '/v1/problems')).toEqual({ problems: [] });
    expect([(await fetch(`http://${http}/healthz`)).status, (await fetch(`http://${http}/readyz`)).status]).toEqual([200, 200]);
    const metrics = await (await fetch(`http://${http}/metrics`)).text();
    for (const line of ['pilot_xds{profile="weft"} 1', 'pilot_xds_pushes{type="cds"} 1', 'pilot_total_xds_rejects{type="cds"} 0', 'pilot_services 1', 'weft_generator_runs_total 1']) expect(metrics.split('\n')).toContain(line);
  });
});
