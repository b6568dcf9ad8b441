// Certificates and roots change while requests run; nobody notices.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { serveEcho } from '../support/echo-workload.js';
import { SteadyLoad } from '../support/steady-load.js';
import { groupYaml, serviceYaml, strictYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

let mesh: TestMesh;
let workloads: TestWorkload[];
let load: SteadyLoad;

beforeAll(async () => {
  mesh = await TestMesh.start({ 'mesh.yaml': `${serviceYaml('target')}${groupYaml('caller', 'caller')}`, 'security.yaml': strictYaml }, { svidTtlMs: 12_000 });
  workloads = [await mesh.workload('target'), await mesh.workload('caller')];
  await serveEcho(workloads[0]!, 'target');
  await workloads[1]!.client.ready();
  load = new SteadyLoad(workloads[1]!, { url: 'http://target/', target: 'target:50051' });
});

afterAll(async () => {
  await load?.stop();
  await mesh?.close();
});

const serials = () => workloads.map(({ runtime }) => runtime.identity?.current()?.svid.leaf.serialNumber);
const issuers = () => workloads.map(({ runtime }) => runtime.identity?.current()?.svid.leaf.issuer);
const clients = () => mesh.controlPlane.controlPlane.discovery.streams.map(({ caller }) => caller?.certificate);
const patience = { timeout: 15_000, interval: 50 };

describe('under constant load', () => {
  it('a new root: everybody gets a certificate from it at once, also on the control-plane stream', async () => {
    await mesh.controlPlane.rotate();
    const { subject } = mesh.controlPlane.ca.authorities.active().certificate;
    await vi.waitFor(() => expect(issuers()).toEqual([subject, subject]), patience);
    await vi.waitFor(() => expect(clients().map((certificate) => certificate?.issuer)).toEqual([subject, subject]), patience);
    expect(load.failures).toEqual([]);
  });

  it('certificates renewed at half life: new serials everywhere', async () => {
    const before = serials();
    await vi.waitFor(() => serials().forEach((serial, index) => expect(serial).not.toBe(before[index])), patience);
    await vi.waitFor(() => expect(clients().map((certificate) => certificate?.serialNumber).toSorted()).toEqual(serials().toSorted()), patience);
    const { completed } = load;
    await vi.waitFor(() => expect(load.completed).toBeGreaterThan(completed + 100), patience);
    expect(load.failures).toEqual([]);
  });
});
