// Every golden case of the control plane, offered to a real Envoy, which takes all of it.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { startMesh } from '@weft/cli';
import { peers } from '../../scripts/peers.mjs';
import { ConfigFolder } from '../support/config-folder.js';
import { startEnvoy } from '../support/envoy-process.js';

const { envoy } = peers();
const folder = new URL('../../packages/xds-server/src/generate/golden/', import.meta.url);
const cases = readdirSync(folder).filter((name) => name.endsWith('.yaml'));

/** Files of certificates that no machine has: Envoy reads them at once. */
const withoutFiles = (text: string) => text.replaceAll(/tls: \{ mode: MUTUAL[^}]*\}/g, 'tls: { mode: DISABLE }');

describe.skipIf(envoy.missing !== undefined)(`Envoy 1.40 accepts what is made for it${envoy.missing ? ` (skipped: ${envoy.missing})` : ''}`, () => {
  it.each(cases)('%s', async (name) => {
    const config = new ConfigFolder({ 'mesh.yaml': withoutFiles(readFileSync(new URL(name, folder), 'utf8')) });
    const mesh = await startMesh({ config: [config.path], xdsPort: 0, xdsTlsPort: 0, httpPort: 0 });
    // The ports of the cases are small; none of the machine's own are near them.
    const peer = await startEnvoy(envoy.path as string, mesh.xds, 21_000);
    try {
      await vi.waitFor(() => {
        const subscriptions = mesh.controlPlane.discovery.streams.flatMap((stream) => [...stream.subscriptions.values()]);
        expect([...mesh.controlPlane.discovery.stats.rejects]).toEqual([]);
        // Routes come last. What was never sent is withheld from this client.
        const sent = subscriptions.flatMap(({ type, entries }) => [...entries.values()].filter((entry) => entry.sent !== undefined).map((entry) => ({ type, done: entry.acked === entry.sent })));
        expect(sent.filter(({ type, done }) => type === 'route' && done).length).toBeGreaterThan(0);
        expect(sent.filter(({ done }) => !done)).toEqual([]);
      }, { timeout: 20_000, interval: 20 });
      // The only field by which Envoy takes a grpc-timeout beside a timeout; istiod sends it too.
      const lines = peer.log().split('\n').filter((line) => !line.includes('RouteAction.max_grpc_timeout'));
      expect(lines.filter((line) => /reject|error|deprecated|unknown/i.test(line))).toEqual([]);
    } finally {
      await peer.close();
      await mesh.close();
      config.remove();
    }
  });
});
