// Services as processes: told to end under load, and as workers that share one port.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { serveEcho } from '../support/echo-workload.js';
import { freePort } from '../support/free-port.js';
import { HastyClock } from '../support/hasty-clock.js';
import { startService, type ServiceProcess } from '../support/service-process.js';
import { SteadyLoad } from '../support/steady-load.js';
import { groupYaml, serviceYaml, strictYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

const patience = { timeout: 20_000, interval: 50 };
let mesh: TestMesh;
let caller: TestWorkload;
const services: ServiceProcess[] = [];
const clock = new HastyClock();
const brokenMs = 10_000;

beforeAll(async () => {
  mesh = await TestMesh.start({ 'mesh.yaml': `${serviceYaml('target', { groups: ['a', 'b'] })}---\n${serviceYaml('shared')}${groupYaml('caller', 'caller')}`, 'security.yaml': strictYaml }, { graceMs: 0, clock });
  caller = await mesh.workload('caller');
});
afterAll(async () => {
  for (const service of services) service.close();
  await mesh?.close();
});

async function start(...args: [string, Parameters<typeof startService>[2]]): Promise<ServiceProcess> {
  const service = await startService(mesh, ...args);
  services.push(service);
  return service;
}
const get = async (url: string) => {
  const { statusCode, body } = await caller.client.request(url);
  const text = await body.text();
  return statusCode === 200 ? text : `${statusCode} ${text}`;
};
const seen = async (url: string, count = 20) => new Set(await Promise.all(Array.from({ length: count }, () => get(url))));

describe('SIGTERM under load', () => {
  it('drains: no caller sees a failure, and the process ends as one that was told to', async () => {
    await serveEcho(await mesh.workload('a', 'target'), 'a');
    const service = await start('b', { account: 'target', env: { INSTANCE: 'b', DELAY: '30' } });
    await vi.waitFor(async () => expect(await seen('http://target/')).toEqual(new Set(['a', 'b'])), patience);
    const load = new SteadyLoad(caller, { url: 'http://target/', target: 'target:50051' });
    await vi.waitFor(() => expect(load.completed).toBeGreaterThan(50), patience);
    service.child.kill('SIGTERM');
    expect(await service.exited).toEqual({ code: null, signal: 'SIGTERM' });
    await vi.waitFor(async () => expect(await seen('http://target/')).toEqual(new Set(['a'])), patience);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(service.stderr()).toBe('');
  });
});

describe('two workers of node:cluster on one port', () => {
  it('are one endpoint, which stays while one of them lives and goes after both', async () => {
    const port = await freePort();
    const service = await start('shared', { workers: 2, env: { INSTANCE: 'worker', PORT: String(port) } });
    expect(service.serving.map((each) => each.port)).toEqual([port, port]);
    await vi.waitFor(async () => expect(await seen('http://shared/')).toEqual(new Set(['worker-0', 'worker-1'])), patience);
    const endpoints = () => caller.runtime.xds.status().resources.filter(({ type, name }) => type === 'ClusterLoadAssignment' && name.startsWith('outbound|80||shared'));
    expect(endpoints()).toHaveLength(1);
    const [first, second] = service.serving;
    const streams = () => mesh.controlPlane.controlPlane.discovery.streams.length;
    const before = streams();
    process.kill(first!.pid, 'SIGKILL');
    await vi.waitFor(() => expect(streams()).toBe(before - 1), patience);
    // The other one keeps it registered, also after the time that a broken stream is given.
    clock.hasten(brokenMs + 1000);
    const left = await seen('http://shared/');
    expect([left.size, [...left][0]]).toEqual([1, expect.stringMatching(/^worker-/)]);
    process.kill(second!.pid, 'SIGKILL');
    await vi.waitFor(() => expect(streams()).toBe(before - 2), patience);
    expect(await get('http://shared/')).toMatch(/^503 upstream connect error/);
    clock.hasten(brokenMs + 1000);
    await vi.waitFor(async () => expect(await get('http://shared/')).toMatch(/^503 no healthy upstream: outbound\|80\|\|shared.* has no endpoints/), patience);
  }, 60_000);
});
