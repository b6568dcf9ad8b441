// The whole data plane against the real control plane and certificate authority, in one process.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { startMesh, type Mesh } from '../../cli/src/mesh.js';
import type { OutboundListenerSnapshot } from './snapshot/outbound-listener.js';
import { acquireRuntime } from './runtime-instance.js';
import { createRuntime } from './runtime-composition.js';
import type { Runtime } from './runtime.js';
import { version } from './version.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const config = `
apiVersion: v1
kind: Service
metadata: { name: payments }
spec:
  selector: { app: payments }
  ports: [{ name: http, port: 8080 }]
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: payments }
spec:
  metadata: { labels: { app: payments } }
  template: { serviceAccount: payments, ports: { http: 8080 } }
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: web }
spec:
  metadata: { labels: { app: web } }
  template: { serviceAccount: web }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: allow-web }
spec:
  selector: { matchLabels: { app: payments } }
  rules: [{ from: [{ source: { principals: [cluster.local/ns/default/sa/web] } }], to: [{ operation: { methods: [GET], paths: [/fees*] } }] }]
`;

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'weft-runtime-'));
  cleanups.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function mesh(options: { svidTtlMs?: number } = {}): Promise<Mesh & { file: string }> {
  const file = join(folder(), 'mesh.yaml');
  writeFileSync(file, config);
  const started = await startMesh({ config: [file], xdsPort: 0, xdsTlsPort: 0, httpPort: 0, ...options });
  cleanups.push(() => started.close());
  return Object.assign(started, { file });
}

function logger() {
  const lines: string[] = [];
  const write = (level: string) => (fields: object, message: string) => void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  return { lines, debug: () => undefined, info: () => undefined, warn: write('warn'), error: write('error') };
}

async function joinMesh(started: Mesh, name: string, options: { stateDir?: string; token?: boolean } = {}): Promise<Runtime & { log: string[] }> {
  const log = logger();
  const token = await started.joinTokens.create({ workload: `default/${name}`, identity: `default/${name}` });
  const runtime = createRuntime({ controlPlane: started.xdsTls, workload: `default/${name}`, ...(options.token !== false && { token }), ...(options.stateDir !== undefined && { stateDir: options.stateDir }), address: '127.0.0.1', logger: log }, {});
  cleanups.push(() => runtime.close());
  return Object.assign(runtime, { log: log.lines });
}

async function dial(runtime: Runtime, authority: string): Promise<OutboundListenerSnapshot> {
  const found = runtime.outbound.lookup('http', authority);
  const settled = found.kind === 'pending' ? await found.wait() : found;
  if (settled.kind !== 'mesh') throw settled.error;
  return settled.snapshot;
}

const hosts = (snapshot: OutboundListenerSnapshot) => [...snapshot.clusters.values()].flatMap((cluster) => cluster.hosts ?? []);

describe('a runtime in a real mesh', () => {
  it('gets an identity, registers what it listens on, and reaches it by name from another process', async () => {
    const started = await mesh();
    const server = await joinMesh(started, 'payments');
    await server.ready();
    expect(server.identity?.current()?.svid.id.toString()).toBe('spiffe://cluster.local/ns/default/sa/payments');
    const listener = server.inbound.listen({ portName: 'http', host: '127.0.0.1', port: 41_234 });
    await listener.ready(AbortSignal.timeout(10_000));
    expect(listener.tlsMode).toBe('strict');

    const client = await joinMesh(started, 'web');
    const snapshot = await dial(client, 'payments:8080');
    await vi.waitFor(() => expect(hosts(snapshot).map(({ key, config: { spiffeId } }) => [key, spiffeId])).toEqual([['127.0.0.1:41234', 'spiffe://cluster.local/ns/default/sa/payments']]));
    expect(client.xds.status().servers[0]).toMatchObject({ connected: true, protocol: 'delta' });
    expect(client.xds.status().resources.filter(({ state }) => state !== 'acked')).toEqual([]);
    await expect(dial(client, 'nobody:8080')).rejects.toMatchObject({ code: 'WEFT_UNKNOWN_HOST' });

    listener.close();
    await vi.waitFor(() => expect(hosts(snapshot)).toEqual([]));
    const again = server.inbound.listen({ portName: 'http', host: '127.0.0.1', port: 41_235 });
    await again.ready(AbortSignal.timeout(10_000));
    await vi.waitFor(() => expect(hosts(snapshot).map(({ key }) => key)).toEqual(['127.0.0.1:41235']));
    // Said, not left to the control plane to find out: that would take its 10 s.
    await server.close();
    await vi.waitFor(() => expect(hosts(snapshot)).toEqual([]));
    expect([...server.log, ...client.log]).toEqual([]);
  });

  it('follows the operator: a new route reaches the snapshot of a name that is in use', async () => {
    const started = await mesh();
    const client = await joinMesh(started, 'web');
    const before = await dial(client, 'payments');
    writeFileSync(started.file, `${config}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: payments }
spec:
  hosts: [payments]
  http: [{ name: slow, fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }, route: [{ destination: { host: payments } }] }]
`);
    await vi.waitFor(async () => expect((await dial(client, 'payments')).routes).not.toBe(before.routes), { timeout: 10_000 });
    expect(client.log).toEqual([]);
  });

  it('moves its stream to the renewed identity, and follows a rotation of the authority', async () => {
    const started = await mesh();
    const client = await joinMesh(started, 'web');
    await dial(client, 'payments');
    const generation = client.identity!.current()!.generation;
    const { connectedSince } = client.xds.status().servers[0]!;
    await started.rotate();
    await vi.waitFor(() => expect(client.identity!.current()!.generation).toBeGreaterThan(generation), { timeout: 15_000 });
    await vi.waitFor(() => expect(client.xds.status().servers[0]!.connectedSince).toBeGreaterThan(connectedSince!));
    expect(client.identity!.current()!.bundles.get('cluster.local')!.authorities.length).toBe(2);
  });

  it('starts again from its state directory without a token', async () => {
    const started = await mesh();
    const stateDir = join(folder(), 'state');
    const first = await joinMesh(started, 'web', { stateDir });
    await first.ready();
    expect(() => createRuntime({ controlPlane: started.xdsTls, stateDir: join(folder(), 'other') }, {})).toThrow(/nothing vouches/);
    await vi.waitFor(() => expect(existsSync(join(stateDir, 'identity.json'))).toBe(true));
    await first.close();
    const second = await joinMesh(started, 'web', { stateDir, token: false });
    await second.ready(AbortSignal.timeout(10_000));
    expect(second.identity!.current()!.svid.id.path).toBe('/ns/default/sa/web');
  });

  it('refuses at once, with the reason, where the token is not accepted', async () => {
    const started = await mesh();
    const log = logger();
    const forged = (await started.joinTokens.create({ workload: 'default/web', identity: 'default/web' })).replace(/^weft1\.[^.]+/, `weft1.${'A'.repeat(43)}`);
    const runtime = createRuntime({ controlPlane: started.xdsTls, workload: 'web', token: forged, logger: log }, {});
    cleanups.push(() => runtime.close());
    await expect(runtime.ready()).rejects.toMatchObject({ code: 'WEFT_IDENTITY_UNAVAILABLE' });
    await expect(dial(runtime, 'payments:8080')).rejects.toMatchObject({ code: 'WEFT_IDENTITY_UNAVAILABLE' });
  });

  it('observes over plain text without an identity', async () => {
    const started = await mesh();
    const log = logger();
    const runtime = createRuntime({ controlPlane: { address: started.xds, plaintext: true }, workload: 'web', logger: log }, {});
    cleanups.push(() => runtime.close());
    await runtime.ready();
    await dial(runtime, 'payments.default.svc.cluster.local:8080');
    expect(runtime.tls).toBeUndefined();
    expect(log.lines).toEqual([]);
  });
});

describe('the runtime of a process', () => {
  const options = { controlPlane: { address: '127.0.0.1:1', plaintext: true }, logger: logger() };

  it('is shared, and closed by the last who has it', async () => {
    const one = acquireRuntime(options, {});
    const two = acquireRuntime({}, {});
    expect(two.xds).toBe(one.xds);
    await one.close();
    await one.close();
    expect(acquireRuntimeIsOpen(two)).toBe(true);
    await two.close();
    expect(acquireRuntimeIsOpen(two)).toBe(false);
    const three = acquireRuntime(options, {});
    expect(three.xds).not.toBe(one.xds);
    await three.close();
  });

  it('says which options of a later caller are not used: only those that differ', async () => {
    const log = logger();
    const first = { ...options, logger: log, maxNames: 5 };
    const all = [acquireRuntime(first, {}), acquireRuntime({ ...first, controlPlane: { ...first.controlPlane } }, {})];
    expect(log.lines).toEqual([]);
    all.push(acquireRuntime({ ...first, maxNames: 6, accessLog: undefined } as never, {}));
    expect(log.lines).toEqual(['warn this process has a runtime already; options given later are not used {"options":["maxNames"]}']);
    for (const each of all) await each.close();
  });

  it('is not shared between versions', async () => {
    const place = globalThis as { [key: symbol]: unknown };
    const key = Symbol.for('weft.runtime');
    place[key] = { version: '0.0.9', users: 1 };
    try {
      expect(() => acquireRuntime(options, {})).toThrow(/0\.0\.9 is running.*two versions|two versions.*0\.0\.9 is running/);
    } finally {
      place[key] = undefined;
    }
    expect(version).toBe(packageJson.version);
  });

  it('leaves nothing behind where it cannot be made', () => {
    expect(() => acquireRuntime({}, {})).toThrow(/no control plane: set WEFT_CONTROL_PLANE/);
    expect((globalThis as { [key: symbol]: unknown })[Symbol.for('weft.runtime')]).toBeUndefined();
  });
});

function acquireRuntimeIsOpen(runtime: Runtime): boolean {
  let closed = false;
  runtime.xds.watch({ typeUrl: 'type.googleapis.com/x.Y', name: 'Y', fullState: false, decode: () => ({ name: 'y', resource: undefined }) }, 'y', {
    onResource: () => undefined,
    onAbsent: () => undefined,
    onError: (error) => void (closed = (error as { code?: string }).code === 'WEFT_CLOSED'),
  }).close();
  return !closed;
}
