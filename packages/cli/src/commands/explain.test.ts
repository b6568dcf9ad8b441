import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Explanation } from '@weft/data-plane/explain';
import { afterEach, describe, expect, it } from 'vitest';
import { main } from '../main.js';

const mesh = `apiVersion: v1
kind: Service
metadata: { name: payments }
spec: { selector: { app: payments }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: payments }
spec: { host: payments, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: payments }
spec:
  hosts: [payments]
  http:
    - name: beta
      match: [{ headers: { x-user: { exact: beta } } }]
      route: [{ destination: { host: payments, subset: v2 } }]
    - name: main
      rewrite: { uri: /v1/ }
      timeout: 3s
      retries: { attempts: 4, perTryTimeout: 1s, retryOn: '5xx,reset' }
      route: [{ destination: { host: payments, subset: v1 }, weight: 80 }, { destination: { host: payments, subset: v2 }, weight: 20 }]
`;
const hcm = (routeConfig: object, more: object = {}) => ({
  name: 'hcm', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', statPrefix: 's', routeConfig,
    httpFilters: [
      { name: 'rbac', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC', rules: { action: 'DENY', policies: { p: { permissions: [{ header: { name: ':path', prefixMatch: '/admin' } }], principals: [{ any: true }] } } } } },
      { name: 'router', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } },
    ], ...more },
});
const proxy = { resources: [
  { '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener', name: 'front', address: { socketAddress: { address: '0.0.0.0', portValue: 10000 } },
    filterChains: [{ filters: [hcm({ name: 'r', virtualHosts: [{ name: 'v', domains: ['a.test'], routes: [{ match: { prefix: '/' }, route: { cluster: 'c' } }] }] }, { normalizePath: true })] }] },
  { '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster', name: 'c', type: 'STATIC', loadAssignment: { clusterName: 'c', endpoints: [{ lbEndpoints: [{ endpoint: { address: { socketAddress: { address: '127.0.0.1', portValue: 1 } } } }] }] } },
] };

const folders: string[] = [];
afterEach(() => folders.splice(0).forEach((path) => rmSync(path, { recursive: true })));

function files(contents: Record<string, string>): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-explain-'));
  folders.push(folder);
  for (const [name, text] of Object.entries(contents)) writeFileSync(join(folder, name), text);
  return (name) => join(folder, name);
}

async function weft(...args: string[]): Promise<{ code: number; stdout: string; stderr: string; lines: Explanation[] }> {
  let stdout = '';
  let stderr = '';
  const code = await main(['explain', ...args], { stdout: (text) => (stdout += text), stderr: (text) => (stderr += text) });
  return { code, stdout, stderr, get lines() { return stdout.trim().split('\n').map((line) => JSON.parse(line) as Explanation); } };
}

describe('weft explain --config', () => {
  const config = () => files({ 'mesh.yaml': mesh })('mesh.yaml');

  it('prints one JSON object with the keys of the contract', async () => {
    const v = (n: number) => `outbound|80|v${n}|payments.default.svc.cluster.local`;
    const { code, lines, stderr } = await weft('--config', config(), '--from', 'default/orders', '--url', 'http://payments/pay?x=1', '-H', 'X-User: alpha', '--random', '185', '--json');
    expect([code, stderr]).toEqual([0, '']);
    expect(lines).toEqual([{
      listener: 'payments:80', virtualHost: 'payments.default.svc.cluster.local:80', route: 'main', action: 'route', cluster: v(2), clusters: [{ name: v(1), weight: 80 }, { name: v(2), weight: 20 }],
      path: '/v1/pay?x=1', authority: 'payments', timeoutMs: 3000, retry: { on: '5xx,reset', attempts: 4, perTryTimeoutMs: 1000 }, why: ['route beta: header x-user exact "beta", the request has "alpha"'],
    }]);
  });

  it('prints for people what was chosen and what was not', async () => {
    const { code, stdout } = await weft('--config', config(), '--from', 'orders', '--url', 'http://payments/pay');
    expect(code).toBe(0);
    expect(stdout).toContain('  route         main\n');
    expect(stdout).toContain('20 of 100  outbound|80|v2|');
    expect(stdout).toContain('live requests are spread by weight');
    expect(stdout).toContain('    route beta: header x-user exact "beta", the request has none\n');
  });

  it('a host that the mesh does not know is an answer', async () => {
    expect(await weft('--config', config(), '--from', 'orders', '--url', 'http://nobody/', '--json')).toMatchObject({ code: 0, stdout: expect.stringContaining('"action":"none"') as string });
  });
});

describe('weft explain --resources', () => {
  it('finds a proxy\'s listener by its name or address, with its filters and its spelling of paths', async () => {
    const request = (url: string, host: string) => JSON.stringify({ url, headers: [['Host', host]], random: 7 }).replace('7}', '18446744073709551615}');
    const file = files({ 'resources.json': JSON.stringify(proxy), 'requests.jsonl': `${request('http://127.0.0.1:10000/a', 'a.test')}\n\n${request('http://front/x/../admin', 'a.test')}\n${request('http://10.0.0.1:10000/a', 'b.test')}\n` });
    const { code, lines, stderr } = await weft('--resources', file('resources.json'), '--requests', file('requests.jsonl'), '--json');
    expect([code, stderr]).toEqual([0, '']);
    expect(lines).toMatchObject([
      { listener: 'front', virtualHost: 'v', cluster: 'c', path: '/a', authority: 'a.test', filters: [{ name: 'rbac', verdict: 'continue' }] },
      { listener: 'front', status: 403, filters: [{ name: 'rbac', verdict: '403 rbac_access_denied_matched_policy[p]' }] },
      { listener: 'front', action: 'none', status: 404 },
    ]);
  });

  it('a resource that would be refused is an error', async () => {
    const bad = { resources: [{ '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener', name: 'front:80', filterChains: [{ filters: [hcm({ name: 'r', vhds: {} })] }] }] };
    const { code, stdout, stderr } = await weft('--resources', files({ 'r.json': JSON.stringify(bad) })('r.json'), '--url', 'http://front/', '--json');
    expect([code, JSON.parse(stdout)]).toMatchObject([1, { action: 'none' }]);
    expect(stderr).toMatch(/route_config\.vhds: not supported/);
  });

  it.each([
    ['{', /r\.json: /], ['{"resources":[{"@type":"type.googleapis.com/envoy.None"}]}', /resources\[0\].*envoy\.None/], ['{"resources":[{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster"}]}', /resources\[0\]: .* needs a name/], ['5', /expected \{"resources"/],
  ])('names the place of what is no resource: %s', async (text, reason) => {
    const { code, stderr } = await weft('--resources', files({ 'r.json': text })('r.json'), '--url', 'http://a/');
    expect([code, stderr]).toEqual([1, expect.stringMatching(reason)]);
  });

  it.each([['{"url":"x"}', /requests:1: url/], ['{"url":"http://a","random":-1}', /random/], ['{"url":"http://a","random":18446744073709551616}', /random/], ['{"url":"http://a","headers":{"a":"b"}}', /headers/], ['{"url":"http://a","headres":[]}', /headres/], ['{', /requests:1/]])('names the line of what is no request: %s', async (line, reason) => {
    const file = files({ resources: JSON.stringify(proxy), requests: line });
    const { code, stderr } = await weft('--resources', file('resources'), '--requests', file('requests'));
    expect([code, stderr]).toEqual([1, expect.stringMatching(reason)]);
  });
});

it.each([[[]], [['--config', '.', '--url', 'http://a/']], [['--config', '.', '--from', 'a/b']], [['--resources', 'r', '--config', '.', '--from', 'a/b', '--url', 'http://a/']], [['--resources', 'r', '--url', 'a']], [['--resources', 'r', '--url', 'http://a/', '-H', 'x']], [['--resources', 'r', '--url', 'http://a/', '--random', '-1']]])('usage: %j exits 2', async (args) => {
  expect((await weft(...args)).code).toBe(2);
});
