import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { main } from './main.js';
import { startMesh, type Mesh } from './mesh.js';

const service = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: payments }
spec:
  hosts: [payments.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 8080, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: 9000 } }]
`;
const route = (weight: string) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: payments
spec:
  hosts: [payments.test]
  http:
    - route:
        - destination: { host: payments.test }
          weight: ${weight}
`;

const folders: string[] = [];
const meshes: Mesh[] = [];

function folder(files: Record<string, string> = {}): string {
  const path = mkdtempSync(join(tmpdir(), 'weft-cli-'));
  folders.push(path);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

async function weft(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let stdout = '';
  let stderr = '';
  const code = await main(args, { stdout: (text) => (stdout += text), stderr: (text) => (stderr += text) });
  return { code, stdout, stderr };
}

afterEach(async () => {
  for (const mesh of meshes.splice(0)) await mesh.close();
  for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
});

describe('weft validate', () => {
  it('says nothing about good files', async () => {
    expect(await weft('validate', folder({ 'a.yaml': service, 'b.yaml': route('100') }))).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('names file, line, column, object, field and reason on stderr, and exits 1', async () => {
    const path = folder({ 'a.yaml': service, 'b.yaml': route('many') });
    const { code, stdout, stderr } = await weft('validate', path);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(new RegExp(`^${path}/b\\.yaml:10:\\d+ VirtualService default/payments: spec\\.http\\[0\\]\\.route\\[0\\]\\.weight: `, 'm'));
  });

  it('warns about a field that is not implemented, and about a kind it does not know, and exits 0', async () => {
    const path = folder({ 'a.yaml': service, 'b.yaml': 'apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: payments }\nspec: { host: payments.test, trafficPolicy: { tunnel: { protocol: CONNECT, targetHost: a.test, targetPort: 443 } } }\n', 'c.yaml': 'apiVersion: example.com/v1\nkind: Stranger\nmetadata: { name: x }\n' });
    const { code, stderr } = await weft('validate', path);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^warning: .*DestinationRule default\/payments: spec\.trafficPolicy\.tunnel: /m);
    expect(stderr).toMatch(/^warning: .*Stranger/m);
  });

  it('warns of what the libraries would refuse of raw resources, at its place and in its spelling', async () => {
    const path = folder({ 'raw.yaml': `resources:
  - '@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration
    name: r
    virtualHosts:
      - name: v
        domains: ['*']
        routes:
          - match: { prefix: / }
            route:
              inline_cluster_specifier_plugin: { extension: { name: x } }
          - match: { prefix: / }
            name: strange
            typedPerFilterConfig:
              a.b: { '@type': type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault, abort: { httpStatus: 7, percentage: { numerator: 1 } } }
            route: { cluster: c }
  - '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster
    name: c
    type: EDS
    eds_cluster_config: { eds_config: { ads: {} } }
    filters: [{ name: x }]
`});
    const { code, stderr } = await weft('validate', path);
    expect(code).toBe(0);
    const lines = stderr.trim().split('\n').map((line) => line.replace(path, ''));
    expect(lines).toEqual([
      expect.stringMatching(/^warning: \/raw\.yaml:10:15 .*: resources\[0\]\.virtualHosts\[0\]\.routes\[0\]\.route\.inline_cluster_specifier_plugin: Weft's libraries would refuse it: not supported: /),
      expect.stringMatching(/^warning: \/raw\.yaml:14:\d+ .*: resources\[0\]\.virtualHosts\[0\]\.routes\[1\]\.typedPerFilterConfig\["a\.b"\]\.abort\.httpStatus: Weft's libraries would refuse it: /),
      expect.stringMatching(/^warning: \/raw\.yaml:20:5 .*: resources\[1\]\.filters: Weft's libraries would refuse it: not supported$/),
    ]);
  });

  it('exits 1 for a path that does not exist, with a hint', async () => {
    const { code, stderr } = await weft('validate', '/nowhere/at/all');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^weft: \/nowhere\/at\/all: .*\n {2}\S/);
  });
});

describe('weft generate', () => {
  const generate = (path: string, ...more: string[]) => weft('generate', '--config', path, '--workload', 'default/orders', ...more);

  it.each(['weft', 'grpc', 'envoy'])('prints what profile %s gets, loadable again as raw resources with the same result', async (profile) => {
    const first = await generate(folder({ 'a.yaml': service, 'b.yaml': route('100') }), '--profile', profile);
    expect(first.code, first.stderr).toBe(0);
    const { resources } = JSON.parse(first.stdout) as { resources: { '@type': string }[] };
    expect(new Set(resources.map((resource) => resource['@type'].split('.').at(-1)))).toEqual(new Set(['Cluster', 'ClusterLoadAssignment', 'Listener', 'RouteConfiguration']));
    const second = await generate(folder({ 'raw.json': first.stdout }), '--profile', profile);
    expect(second.stderr).toBe('');
    expect(JSON.parse(second.stdout)).toEqual({ resources: expect.arrayContaining(resources) });
  });

  it('prints one resource by type and name, and exits 1 where there is none', async () => {
    const path = folder({ 'a.yaml': service });
    const found = await generate(path, '--profile', 'weft', '--type', 'cluster', '--name', 'outbound|8080||payments.test');
    expect(JSON.parse(found.stdout)).toMatchObject({ resources: [{ name: 'outbound|8080||payments.test' }] });
    expect((await generate(path, '--profile', 'weft', '--type', 'cluster', '--name', 'outbound|8080||other.test')).code).toBe(1);
  });
});

describe('weft up', () => {
  it('exits 2 for wrong usage, each with a line that says what is wrong', async () => {
    for (const args of [['up', '--xds-port', 'x', '--config', '.'], ['up'], ['nonsense'], ['token', 'create'], ['generate', '--config', '.', '--workload', 'a', '--profile', 'other']]) {
      const { code, stderr } = await weft(...args);
      expect({ args, code }).toEqual({ args, code: 2 });
      expect(stderr).toMatch(/\S/);
    }
  });

  it('exits 1 at the very start for an object that has no last good version', async () => {
    const { code, stderr } = await weft('up', '--config', folder({ 'b.yaml': route('many') }), '--data', folder(), '--xds-port', '0', '--xds-tls-port', '0', '--http-port', '0');
    expect(code).toBe(1);
    expect(stderr).toContain('VirtualService default/payments');
  });

  it('exits 3 when a port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const { code, stderr } = await weft('up', '--config', folder({ 'a.yaml': service }), '--data', folder(), '--xds-port', String(port), '--xds-tls-port', '0', '--http-port', '0');
    taken.close();
    expect(code).toBe(3);
    expect(stderr).toContain(String(port));
  });

  it('prints one ready line, writes its files, and drains on SIGTERM with exit code 0', async () => {
    const data = join(folder(), 'data');
    const bin = new URL('../bin/weft.js', import.meta.url).pathname;
    const child = spawn(process.execPath, [bin, 'up', '--config', folder({ 'a.yaml': service }), '--data', data, '--xds-port', '0', '--xds-tls-port', '0', '--http-port', '0'], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, WEFT_LOG: 'warn' } });
    const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
    expect(chunk.toString()).toMatch(/^weft ready xds=127\.0\.0\.1:\d+ xds-tls=127\.0\.0\.1:\d+ http=127\.0\.0\.1:\d+\n$/);
    expect(statSync(join(data, 'admin.token')).mode & 0o777).toBe(0o600);
    expect(statSync(join(data, 'root.pem')).size).toBeGreaterThan(0);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});

describe('weft token and weft ca', () => {
  it('work on a running control plane with its admin token, and on its data folder once it is stopped', async () => {
    const data = folder();
    const mesh = await startMesh({ config: [folder({ 'a.yaml': service })], dataDir: data, xdsPort: 0, xdsTlsPort: 0, httpPort: 0 });
    meshes.push(mesh);
    const running = ['--control-plane', mesh.http, '--data', data];
    const token = await weft('token', 'create', '--workload', 'default/orders', '--identity', 'default/orders', ...running);
    expect(token).toMatchObject({ code: 0, stderr: '' });
    expect(token.stdout).toMatch(/^\S+\n$/);
    const before = JSON.parse((await weft('ca', 'show', '--json', ...running)).stdout) as { active: { authority: string } };
    const offline = await weft('ca', 'show', '--data', data);
    expect(offline.code).toBe(1);
    expect(offline.stderr).toContain('--control-plane');
    const rotated = JSON.parse((await weft('ca', 'rotate', '--json', ...running)).stdout) as { active: { authority: string }; authorities: { state: string; authority: string }[] };
    expect(rotated.authorities).toEqual([expect.objectContaining({ state: 'active' }), expect.objectContaining({ state: 'old', authority: before.active.authority })]);
    await meshes.pop()!.close();
    const shown = JSON.parse((await weft('ca', 'show', '--json', '--data', data)).stdout) as typeof rotated;
    expect(shown.active.authority).toBe(rotated.active.authority);
    expect((await weft('token', 'create', '--workload', 'default/orders', '--identity', 'default/orders', '--data', data)).code).toBe(0);
    const { stdout, code } = await weft('ca', 'rotate', '--data', data);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^active .*\nold .*\nold .*\nno control plane was running: .*\n$/m);
  });

  it('leave an admin token behind that works, also where a crash left an empty file', async () => {
    const data = folder({ 'admin.token': '' });
    const mesh = await startMesh({ config: [folder({ 'a.yaml': service })], dataDir: data, xdsPort: 0, xdsTlsPort: 0, httpPort: 0 });
    meshes.push(mesh);
    expect((await weft('ca', 'rotate', '--control-plane', mesh.http, '--data', data)).code).toBe(0);
  });

  it('exits 1 with the wrong admin token and 3 where nobody listens', async () => {
    const data = folder();
    const mesh = await startMesh({ config: [folder({ 'a.yaml': service })], dataDir: data, xdsPort: 0, xdsTlsPort: 0, httpPort: 0 });
    meshes.push(mesh);
    const create = ['token', 'create', '--workload', 'a/b', '--identity', 'a/b', '--data', folder({ 'admin.token': 'wrong' }), '--control-plane'];
    expect(await weft(...create, mesh.http)).toMatchObject({ code: 1, stdout: '' });
    expect((await weft(...create, '127.0.0.1:1')).code).toBe(3);
  });
});
