// The control plane goes away and comes back; instances die; config breaks.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startMesh } from '@weft/cli';
import { serveEcho } from '../support/echo-workload.js';
import { freePort } from '../support/free-port.js';
import { SteadyLoad } from '../support/steady-load.js';
import { groupYaml, serviceYaml, strictYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

let mesh: TestMesh;
let a: TestWorkload;
let b: TestWorkload;
let caller: TestWorkload;
const dataDir = mkdtempSync(join(tmpdir(), 'weft-outage-'));
const ports = { xdsPort: 0, xdsTlsPort: 0, httpPort: 0 };
const patience = { timeout: 15_000, interval: 30 };

beforeAll(async () => {
  for (const name of Object.keys(ports) as (keyof typeof ports)[]) ports[name] = await freePort();
  mesh = await TestMesh.start({ 'mesh.yaml': `${serviceYaml('target', { groups: ['a', 'b'] })}${groupYaml('caller', 'caller')}`, 'security.yaml': strictYaml }, { ...ports, dataDir });
  a = await mesh.workload('a', 'target');
  b = await mesh.workload('b', 'target');
  caller = await mesh.workload('caller');
  await serveEcho(a, 'a');
  await serveEcho(b, 'b');
  await vi.waitFor(async () => expect(await seen(20)).toEqual(new Set(['a', 'b'])), patience);
});

afterAll(async () => {
  await mesh?.close();
  rmSync(dataDir, { recursive: true, force: true });
});

const one = async () => {
  const { statusCode, body } = await caller.client.request('http://target/');
  return statusCode === 200 ? body.text() : `${statusCode}`;
};
async function seen(count: number): Promise<Set<string>> {
  const answers = new Set<string>();
  for (let i = 0; i < count; i += 1) answers.add(await one());
  return answers;
}

describe('a mesh whose control plane stops', () => {
  it('goes on with its last state, and follows again once the control plane is back, with nothing lost', async () => {
    const load = new SteadyLoad(caller, { url: 'http://target/', target: 'target:50051', workers: 2 });
    await mesh.controlPlane.close();
    await vi.waitFor(() => expect(caller.runtime.xds.status().servers[0]?.connected).toBe(false), patience);
    expect(await seen(20)).toEqual(new Set(['a', 'b']));
    const restarted = await startMesh({ config: [mesh.config.path], dataDir, ...ports });
    Object.assign(mesh, { controlPlane: restarted });
    await vi.waitFor(() => expect(restarted.controlPlane.discovery.streams.length).toBe(3), patience);
    mesh.config.write('route.yaml', 'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: target }\nspec: { hosts: [target], http: [{ match: [{ uri: { prefix: /gone } }], directResponse: { status: 410 } }, { route: [{ destination: { host: target } }] }] }\n');
    await vi.waitFor(async () => expect((await caller.client.request('http://target/gone')).statusCode).toBe(410), patience);
    expect(await seen(20)).toEqual(new Set(['a', 'b']));
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(load.completed).toBeGreaterThan(0);
  });
});

describe('an instance that leaves', () => {
  it('orderly: no request fails, and the other one takes all', async () => {
    const load = new SteadyLoad(caller, { url: 'http://target/', target: 'target:50051', workers: 2 });
    await b.close();
    await vi.waitFor(async () => expect(await seen(20)).toEqual(new Set(['a'])), patience);
    await load.stop();
    expect(load.failures).toEqual([]);
  });
});

describe('a resource that a client cannot use', () => {
  it('is rejected by its fields, and the last good one stays in force', async () => {
    mesh.config.write('raw.yaml', `resources:
  - '@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration
    name: outbound|80||target.default.svc.cluster.local
    virtual_hosts: [{ name: x, domains: ['*'], routes: [{ match: { prefix: / }, filter_action: {} }] }]
`);
    await vi.waitFor(() => expect(caller.runtime.xds.status().resources.find(({ name, type }) => type === 'RouteConfiguration' && name.includes('|80|'))).toMatchObject({ state: 'nacked', error: expect.stringMatching(/virtual_hosts\[0\]\.routes\[0\]\.filter_action/) }), patience);
    expect(await seen(5)).toEqual(new Set(['a']));
    mesh.config.write('raw.yaml', '# nothing\n');
    await vi.waitFor(() => expect(caller.runtime.xds.status().resources.every(({ state }) => state === 'acked')).toBe(true), patience);
  });
});
