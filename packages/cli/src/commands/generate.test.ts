import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { main } from '../main.js';

const mesh = `apiVersion: v1
kind: Service
metadata: { name: payments }
spec: { selector: { app: payments }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: payments }
spec: { metadata: { labels: { app: payments } }, template: { serviceAccount: pay, ports: { http: 8080 } } }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: legacy }
spec: { address: 10.0.0.9, labels: { app: legacy }, serviceAccount: old }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: payments }
spec: { selector: { matchLabels: { app: payments } }, mtls: { mode: STRICT }, portLevelMtls: { 9090: { mode: DISABLE } } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody }
spec: { selector: { matchLabels: { app: payments } } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: legacy }
spec: { selector: { matchLabels: { app: legacy } } }
`;

const folders: string[] = [];
afterEach(() => folders.splice(0).forEach((path) => rmSync(path, { recursive: true })));

// The shape of the JSON is what is tested.
// oxlint-disable-next-line typescript/no-explicit-any
async function generate(workload: string, ...more: string[]): Promise<{ code: number; resources: any[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-generate-'));
  folders.push(folder);
  writeFileSync(join(folder, 'mesh.yaml'), mesh);
  let stdout = '';
  const code = await main(['generate', '--config', folder, '--workload', workload, '--profile', 'weft', ...more], { stdout: (text) => (stdout += text), stderr: () => undefined });
  return { code, ...(JSON.parse(stdout || '{"resources":[]}') as { resources: never[] }) };
}
const modes = (listener: { filterChains: { filterChainMatch: { transportProtocol: string } }[] }) => listener.filterChains.map(({ filterChainMatch }) => filterChainMatch.transportProtocol);
const denies = (listener: object) => JSON.stringify(listener).includes('envoy.filters.http.rbac');

describe('the inbound policy of a workload that is not running', () => {
  it('is listed for the declared ports of its WorkloadGroup, and its instance is nowhere else', async () => {
    const { resources } = await generate('default/payments');
    const inbound = resources.filter(({ name }) => String(name).startsWith('weft/inbound/'));
    expect(inbound.map(({ name }) => name as string)).toEqual(['weft/inbound/http/127.0.0.1:8080']);
    expect([modes(inbound[0]), denies(inbound[0])]).toEqual([['tls'], true]);
    expect(inbound[0].metadata.filterMetadata.istio.services).toEqual([{ host: 'payments.default.svc.cluster.local', name: 'payments', namespace: 'default' }]);
    expect(resources.find(({ clusterName }) => clusterName === 'outbound|80||payments.default.svc.cluster.local').endpoints ?? []).toEqual([]);
  });

  it.each([['weft/inbound/http/127.0.0.1:8080', ['tls']], ['weft/inbound/http/10.1.2.3:41234', ['tls']], ['weft/inbound/metrics/[::1]:9090', ['raw_buffer']]])('is shown for %s', async (name, expected) => {
    const { resources } = await generate('default/payments', '--type', 'listener', '--name', name);
    expect(resources.map((listener) => [listener.name, modes(listener), denies(listener)])).toEqual([[name, expected, true]]);
  });

  it('is that of a WorkloadEntry with its labels, and of a stranger without any', async () => {
    const name = 'weft/inbound/http/10.0.0.9:8080';
    const legacy = await generate('default/legacy', '--name', name);
    expect([modes(legacy.resources[0]), denies(legacy.resources[0])]).toEqual([['tls', 'raw_buffer'], true]);
    const stranger = await generate('default/stranger', '--name', 'weft/inbound/http/10.0.0.8:8080');
    expect([modes(stranger.resources[0]), denies(stranger.resources[0])]).toEqual([['tls', 'raw_buffer'], false]);
  });
});
