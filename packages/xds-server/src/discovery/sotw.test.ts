import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AdsTestClient, contentsOf, weftNode, type SotwStream } from './testing.js';
import { startDiscovery, type TestServer } from './testing-server.js';

const grpcNode = { id: 'grpc-client', userAgentName: 'gRPC Node Pure JS' };
const envoyNode = { id: 'sidecar~127.0.0.1~web.default~default.svc.cluster.local', userAgentName: 'envoy' };
const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };

let server: TestServer;
let client: AdsTestClient;
beforeEach(async () => {
  vi.clearAllMocks();
  server = await startDiscovery({ logger });
  client = new AdsTestClient(server.address);
});
afterEach(async () => {
  client.close();
  await server.close();
});

/** Asks for one type and takes the answer. */
async function ask(stream: SotwStream, ...[type, names, settle]: Parameters<SotwStream['ask']>) {
  stream.ask(type, names, settle);
  return stream.next();
}

let markers = 0;

/** Nothing is due: types that are not served are answered last, so whatever was due would come before this answer. */
async function nothingBefore(stream: SotwStream) {
  stream.request({ typeUrl: 'marker', resourceNames: [`${markers++}`] });
  expect((await stream.next()).typeUrl).toBe('marker');
}

describe('state of the world', () => {
  it.each(['listener', 'cluster'] as const)('sends every existing %s in every response', async (type) => {
    server.set({ [`${type}/a`]: 'a1', [`${type}/b`]: 'b1' });
    const stream = client.sotw(grpcNode);
    expect(contentsOf(await ask(stream, type, ['a', 'b']))).toEqual(['a1', 'b1']);
    server.set({ [`${type}/b`]: 'b2' });
    expect(contentsOf(await stream.next())).toEqual(['a1', 'b2']);
    server.set({ [`${type}/b`]: undefined });
    expect(contentsOf(await stream.next())).toEqual(['a1']);
  });

  it.each(['route', 'endpoint'] as const)('sends only the changed %s', async (type) => {
    server.set({ [`${type}/a`]: 'a1', [`${type}/b`]: 'b1' });
    const stream = client.sotw(grpcNode);
    expect(contentsOf(await ask(stream, type, ['a', 'b']))).toEqual(['a1', 'b1']);
    server.set({ [`${type}/b`]: 'b2' });
    expect(contentsOf(await stream.next())).toEqual(['b2']);
  });

  it('answers unknown listeners and clusters at once, and names them when they appear', async () => {
    const stream = client.sotw(grpcNode);
    expect((await ask(stream, 'listener', ['missing'])).resources).toEqual([]);
    expect((await ask(stream, 'cluster', ['missing'])).resources).toEqual([]);
    server.set({ 'listener/missing': 'here' });
    expect(contentsOf(await stream.next())).toEqual(['here']);
  });

  it('answers a longer list of names although no version changed', async () => {
    server.set({ 'listener/a': 'a1' });
    const stream = client.sotw(grpcNode);
    const first = await ask(stream, 'listener', ['a']);
    stream.ask('listener', ['a'], { nonce: first.nonce, version: first.versionInfo });
    expect(contentsOf(await ask(stream, 'listener', ['a', 'missing'], { nonce: first.nonce, version: first.versionInfo }))).toEqual(['a1']);
  });

  it('does not answer an ACK', async () => {
    server.set({ 'listener/a': 'a1' });
    const stream = client.sotw(grpcNode);
    const first = await ask(stream, 'listener', ['a']);
    stream.ask('listener', ['a'], { nonce: first.nonce, version: first.versionInfo });
    await nothingBefore(stream);
  });

  it.each(['listener', 'route'] as const)('sends a %s again after unsubscribe and resubscribe', async (type) => {
    server.set({ [`${type}/a`]: 'a1' });
    const stream = client.sotw(grpcNode);
    const { nonce, versionInfo: version } = await ask(stream, type, ['a']);
    stream.ask(type, [], { nonce, version });
    expect(contentsOf(await ask(stream, type, ['a'], { nonce, version }))).toEqual(['a1']);
  });

  it('sends everything again on a new stream, whatever version the client names', async () => {
    server.set({ 'route/a': 'a1' });
    const { versionInfo: version } = await ask(client.sotw(grpcNode), 'route', ['a']);
    expect(contentsOf(await ask(client.sotw(grpcNode), 'route', ['a'], { version }))).toEqual(['a1']);
  });

  it('honours names that come with a stale nonce, but no rejection', async () => {
    server.set({ 'route/a': 'a1', 'route/b': 'b1' });
    const stream = client.sotw(grpcNode);
    const first = await ask(stream, 'route', ['a']);
    stream.ask('route', ['a'], { nonce: first.nonce, version: first.versionInfo });
    server.set({ 'route/a': 'a2' });
    await stream.next();
    expect(contentsOf(await ask(stream, 'route', ['a', 'b'], { nonce: first.nonce, error: 'late' }))).toEqual(['b1']);
    expect(server.discovery.stats.rejects.size).toBe(0);
  });

  it('keeps going after a NACK: logs it once, does not repeat the rejected version, sends the next', async () => {
    server.set({ 'cluster/bad': 'b1', 'cluster/good': 'g1' });
    const stream = client.sotw(grpcNode);
    const first = await ask(stream, 'cluster', ['bad', 'good']);
    stream.ask('cluster', ['bad', 'good'], { nonce: first.nonce, error: 'cluster bad: no lb_policy' });
    await nothingBefore(stream);
    server.set({ 'cluster/bad': 'b2' });
    const second = await stream.next();
    expect(contentsOf(second)).toEqual(['b2', 'g1']);
    stream.ask('cluster', ['bad', 'good'], { nonce: second.nonce, error: 'cluster bad: no lb_policy' });
    await nothingBefore(stream);
    expect(logger.warn).toHaveBeenCalledTimes(1);
    expect(logger.warn.mock.calls[0]![0]).toEqual({
      node: 'grpc-client', type: 'type.googleapis.com/envoy.config.cluster.v3.Cluster', names: ['bad', 'good'], reason: 'cluster bad: no lb_policy',
    });
    expect([...server.discovery.stats.rejects.values()]).toEqual([2]);
  });

  it('sends what one change touched in make-before-break order', async () => {
    const stream = client.sotw(grpcNode);
    for (const type of ['route', 'listener', 'endpoint', 'cluster'] as const) await ask(stream, type, ['x']);
    server.set({ 'route/x': 'r', 'listener/x': 'l', 'endpoint/x': 'e', 'cluster/x': 'c' });
    expect([await stream.next(), await stream.next(), await stream.next(), await stream.next()].flatMap(contentsOf)).toEqual(['c', 'e', 'l', 'r']);
  });

  it('removes a cluster only after the route that led to it changed', async () => {
    server.set({ 'cluster/old': 'old', 'cluster/new': 'new1', 'route/r': 'to old' });
    const stream = client.sotw(grpcNode);
    await ask(stream, 'cluster', ['old', 'new']);
    await ask(stream, 'route', ['r']);
    server.set({ 'cluster/old': undefined, 'cluster/new': 'new2', 'route/r': 'to new' });
    expect(contentsOf(await stream.next())).toEqual(['old', 'new2']);
    expect(contentsOf(await stream.next())).toEqual(['to new']);
    expect(contentsOf(await stream.next())).toEqual(['new2']);
  });

  it('makes one response out of everything that happens in one turn', async () => {
    server.set({ 'endpoint/a': '0' });
    const stream = client.sotw(grpcNode);
    await ask(stream, 'endpoint', ['a', 'b']);
    for (let i = 1; i <= 100; i++) server.set({ 'endpoint/a': `a${i}`, 'endpoint/b': `b${i}` });
    expect(contentsOf(await stream.next())).toEqual(['a100', 'b100']);
    await nothingBefore(stream);
  });

  it('takes an empty first list of clusters as everything, and as nothing once names were given', async () => {
    server.set({ 'cluster/a': 'a1' });
    const stream = client.sotw(envoyNode);
    const first = await ask(stream, 'cluster', []);
    expect(contentsOf(first)).toEqual(['a1']);
    server.set({ 'cluster/b': 'b1' });
    const second = await stream.next();
    expect(contentsOf(second)).toEqual(['a1', 'b1']);
    expect(contentsOf(await ask(stream, 'cluster', ['b'], { nonce: second.nonce }))).toEqual(['b1']);
    stream.ask('cluster', [], { nonce: second.nonce });
    server.set({ 'cluster/c': 'c1' });
    await nothingBefore(stream);
    expect(contentsOf(await ask(stream, 'cluster', ['*'], { nonce: second.nonce }))).toEqual(['a1', 'b1', 'c1']);
  });

  it('answers a wildcard that stands for nothing', async () => {
    expect((await ask(client.sotw(envoyNode), 'listener', [])).resources).toEqual([]);
  });

  it('gives no wildcard to clients that name what they dial', async () => {
    server.set({ 'cluster/a': 'a1' });
    expect((await ask(client.sotw(grpcNode), 'cluster', [])).resources).toEqual([]);
    expect((await ask(client.sotw(weftNode()), 'cluster', ['*'])).resources).toEqual([]);
  });

  it('sends the endpoints of an updated cluster again to Envoy, which warms until they come', async () => {
    server.set({ 'cluster/a': 'c1', 'endpoint/a': 'e1' });
    const stream = client.sotw(envoyNode);
    await ask(stream, 'cluster', []);
    await ask(stream, 'endpoint', ['a']);
    server.set({ 'cluster/a': 'c2' });
    expect(contentsOf(await stream.next())).toEqual(['c2']);
    expect(contentsOf(await stream.next())).toEqual(['e1']);
    await nothingBefore(stream);
  });

  it('answers a type it does not serve with nothing', async () => {
    const stream = client.sotw(envoyNode);
    stream.request({ typeUrl: 'type.googleapis.com/envoy.service.runtime.v3.Runtime', resourceNames: ['rtds'] });
    expect((await stream.next()).resources).toEqual([]);
  });

  it('refuses a first request without node', async () => {
    const stream = client.sotw(undefined);
    stream.ask('listener', ['a']);
    expect(await stream.ended).toMatchObject({ code: 3, details: expect.stringContaining('node') as string });
  });
});
