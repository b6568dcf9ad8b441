import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTls } from 'node:tls';
import { Server as GrpcServer, ServerCredentials, type handleUnaryCall, type ServiceDefinition } from '@grpc/grpc-js';
import { TlsContexts } from '@weft/spiffe';
import { TestAuthority } from '@weft/spiffe/testing';
import { afterEach, expect, test } from 'vitest';
import type { ClusterConfig, EndpointConfig, HealthCheckConfig } from '../resource/cluster-config.js';
import type { HealthProbe, ProbeResult } from '../upstream/health/health-probe.js';
import { Host, type HostCluster } from '../upstream/host.js';
import { clusterConfig, endpoint, healthCheck } from '../upstream/test-support.js';
import { TransportProber } from './health-prober.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function listen(server: Server): Promise<{ port: number; connections: () => number }> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => {})));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => { for (const socket of sockets) socket.destroy(); server.close(); });
  return { port: (server.address() as AddressInfo).port, connections: () => sockets.size };
}

function probeOf(check: Partial<HealthCheckConfig>, { port, more = {}, config = {}, tls }: { port: number; more?: Partial<EndpointConfig>; config?: Partial<ClusterConfig>; tls?: TlsContexts }): HealthProbe {
  const prober = new TransportProber({ tls });
  const cluster = { name: 'payments', config: clusterConfig(config) } as HostCluster;
  const probe = prober.probe(healthCheck(check), new Host(cluster, 'h', endpoint('127.0.0.1', { port, ...more })));
  cleanups.push(() => { probe.close(); return prober.close(); });
  return probe;
}

const ask = (probe: HealthProbe) => new Promise<ProbeResult>((resolve) => probe.run(resolve));
const httpCheck = (more: object): Partial<HealthCheckConfig> => ({ check: { ...healthCheck().check, ...more } as HealthCheckConfig['check'] });
const well = { healthy: true, degraded: false };

test('HTTP: asks as configured, judges status, name and body, and keeps its connection', async () => {
  const seen: IncomingMessage[] = [];
  let answer = (response: ServerResponse) => void response.end();
  const { port, connections } = await listen(createHttp((request, response) => {
    seen.push(request);
    answer(response);
  }));
  const check = httpCheck({
    path: '/live?x=1', method: 'HEAD', expected: [{ start: 200, end: 201 }, { start: 204, end: 300 }], retriable: [{ start: 503, end: 504 }], serviceName: { kind: 'prefix', value: 'pay', ignoreCase: false },
    headers: { add: [{ name: 'x-probe', value: '%PROTOCOL%', action: 'append-if-exists-or-add', keepEmpty: false }], remove: ['user-agent'] },
  });
  const probe = probeOf(check, { port });
  const with_ = (status: number, headers: Record<string, string> = { 'x-envoy-upstream-healthchecked-cluster': 'payments' }) => {
    answer = (response) => void response.writeHead(status, headers).end();
    return ask(probe);
  };
  expect(await with_(204)).toEqual(well);
  expect([seen[0]!.method, seen[0]!.url, seen[0]!.headers.host, seen[0]!.headers['x-probe'], seen[0]!.headers['user-agent']]).toEqual(['HEAD', '/live?x=1', 'payments', 'HTTP/1.1', undefined]);
  expect(await with_(203)).toEqual({ healthy: false, network: false, retriable: false, reason: 'status 203' });
  expect(await with_(503)).toMatchObject({ healthy: false, retriable: true });
  expect(await with_(200, {})).toMatchObject({ healthy: false, reason: 'it is of the service ""' });
  expect(await with_(200, { 'x-envoy-upstream-healthchecked-cluster': 'payments', 'x-envoy-degraded': '' })).toEqual({ healthy: true, degraded: true });
  expect(connections()).toBe(1);
  // The names of the endpoint go first, then those of the check.
  await ask(probeOf(httpCheck({ host: 'check.example' }), { port }));
  await ask(probeOf(httpCheck({ host: 'check.example' }), { port, more: { healthCheck: { hostname: 'endpoint.example', disabled: false } } }));
  expect(seen.slice(-2).map(({ headers }) => headers.host)).toEqual(['check.example', 'endpoint.example']);
  expect(seen.at(-1)!.headers['user-agent']).toBe('Envoy/HC');
});

test('HTTP: expects parts of the body in their order, as far as the buffer goes', async () => {
  const { port } = await listen(createHttp((_request, response) => response.end('status: ok; version 7')));
  const hex = (text: string) => Buffer.from(text).toString('hex');
  const expecting = (receive: string[], bufferSize = 1024) => ask(probeOf(httpCheck({ receive: receive.map(hex), bufferSize }), { port }));
  expect(await expecting(['ok', 'version'])).toEqual(well);
  expect(await expecting(['version', 'ok'])).toMatchObject({ healthy: false, network: false });
  expect(await expecting(['version'], 10)).toMatchObject({ healthy: false });
});

test('HTTP: over HTTP/2, and a connection for each check', async () => {
  const { port, connections } = await listen(createHttp2((request, response) => void response.writeHead(request.headers[':authority'] === 'payments' ? 200 : 500).end()));
  const probe = probeOf({ ...httpCheck({ http2: true }), reuseConnection: false }, { port });
  for (let i = 0; i < 3; i++) expect(await ask(probe)).toEqual(well);
  expect(connections()).toBe(3);
});

test('at another address or port where the configuration says so', async () => {
  const { port } = await listen(createHttp((_request, response) => response.end()));
  expect(await ask(probeOf({ altPort: port }, { port: 1 }))).toEqual(well);
  expect(await ask(probeOf({ altPort: 1 }, { port: 1, more: { healthCheck: { port, disabled: false } } }))).toEqual(well);
  expect(await ask(probeOf({}, { port, more: { address: '192.0.2.1', healthCheck: { address: '127.0.0.1', disabled: false } } }))).toEqual(well);
  expect(await ask(probeOf({ altPort: 1 }, { port }))).toMatchObject({ healthy: false, network: true });
});

test('a host that hangs is left alone when the question is given up', async () => {
  const { port } = await listen(createHttp(() => {}));
  const server = await listen(createServer());
  for (const probe of [probeOf({}, { port }), probeOf({ check: { kind: 'tcp', send: '', receive: ['00'] } }, { port: server.port })]) {
    let told = false;
    const giveUp = probe.run(() => { told = true; });
    await new Promise((resolve) => setImmediate(resolve));
    giveUp();
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toBe(false);
  }
});

test('over the same mutual TLS as requests: another identity than the expected one is no healthy host', async () => {
  const authority = TestAuthority.create('td');
  const server = createTls({ ...new TlsContexts(authority.source('/ns/a/sa/payments')).serverOptions({ alpn: ['http/1.1'], requireClientCertificate: true }) }, (socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'));
  });
  const { port } = await listen(server);
  const tls = new TlsContexts(authority.source('/ns/a/sa/web'));
  const config = { transportSockets: [{ name: 'tls', match: { tlsMode: 'istio' }, tls: { identityProvider: 'default', rootProvider: 'default', subjectAltNames: [], alpn: [], sni: '' } }, { name: '', match: {} }] };
  const at = (spiffeId: string) => ({ port, tls, config, more: { spiffeId } });
  // The endpoint's labels choose plain text, the criteria of the check TLS.
  const check = { transportSocketMatch: { tlsMode: 'istio' } };
  expect(await ask(probeOf(check, at('spiffe://td/ns/a/sa/payments')))).toEqual(well);
  expect(await ask(probeOf(check, at('spiffe://td/ns/a/sa/other')))).toMatchObject({ healthy: false, network: true });
  expect(await ask(probeOf({}, at('spiffe://td/ns/a/sa/payments')))).toMatchObject({ healthy: false });
});

const bytes = { requestSerialize: (value: Buffer) => value, requestDeserialize: (value: Buffer) => value, responseSerialize: (value: Buffer) => value, responseDeserialize: (value: Buffer) => value };

test('gRPC: asks grpc.health.v1 for the service', async () => {
  const server = new GrpcServer();
  const seen: [string, unknown, string][] = [];
  const definition: ServiceDefinition = { check: { path: '/grpc.health.v1.Health/Check', requestStream: false, responseStream: false, ...bytes } };
  let answer: Buffer | { code: number; details: string } = Buffer.from([8, 1]);
  server.addService(definition, {
    check: ((call, done) => {
      seen.push([call.request.toString('hex'), call.metadata.get('x-probe')[0], call.getHost()]);
      if (Buffer.isBuffer(answer)) done(null, answer);
      else done(answer);
    }) satisfies handleUnaryCall<Buffer, Buffer>,
  });
  const port = await new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
  cleanups.push(() => server.forceShutdown());
  const check = (serviceName: string, authority = ''): HealthCheckConfig['check'] => ({ kind: 'grpc', serviceName, authority, headers: { add: [{ name: 'x-probe', value: 'yes', action: 'append-if-exists-or-add', keepEmpty: false }], remove: [] } });
  const probe = probeOf({ check: check('s'.repeat(200), 'health.example') }, { port });
  expect(await ask(probe)).toEqual(well);
  expect(seen[0]).toEqual([`0ac801${'73'.repeat(200)}`, 'yes', 'health.example']);
  for (const [status, reason] of [[2, 'NOT_SERVING'], [3, 'SERVICE_UNKNOWN']] as const) {
    answer = Buffer.from([8, status]);
    expect(await ask(probe)).toEqual({ healthy: false, network: false, retriable: false, reason });
  }
  answer = Buffer.alloc(0);
  expect(await ask(probe)).toMatchObject({ healthy: false, reason: 'UNKNOWN' });
  answer = { code: 5, details: 'no such service' };
  expect(await ask(probe)).toMatchObject({ healthy: false, network: false, reason: 'gRPC status NOT_FOUND: no such service' });
  expect(await ask(probeOf({ check: check('') }, { port: 1 }))).toMatchObject({ healthy: false, network: true });
  await ask(probeOf({ check: check('') }, { port }));
  expect(seen.at(-1)).toEqual(['', 'yes', 'payments']);
});

test('TCP: a connection is enough, or what it sends is answered as expected', async () => {
  const { port, connections } = await listen(createServer((socket) => socket.on('data', (data) => socket.write(data.toString() === 'PING\r\n' ? '+PO' : 'no')).on('data', () => setImmediate(() => socket.write('NG\r\n')))));
  expect(await ask(probeOf({ check: { kind: 'tcp', send: '', receive: [] } }, { port }))).toEqual(well);
  expect(await ask(probeOf({ check: { kind: 'tcp', send: '', receive: [] } }, { port: 1 }))).toMatchObject({ healthy: false, network: true });
  const hex = (text: string) => Buffer.from(text).toString('hex');
  const ping = probeOf({ check: { kind: 'tcp', send: hex('PING\r\n'), receive: [hex('+PONG')] } }, { port });
  const before = connections();
  for (let i = 0; i < 3; i++) expect(await ask(ping)).toEqual(well);
  expect(connections()).toBe(before + 1);
  const closing = await listen(createServer((socket) => socket.end('bye')));
  expect(await ask(probeOf({ check: { kind: 'tcp', send: '', receive: [hex('hello')] } }, { port: closing.port }))).toMatchObject({ healthy: false, network: true });
});
