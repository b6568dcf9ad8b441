import { MemoryStore } from '@weft/store';
import { createServer, type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ControlPlane, type ControlPlaneOptions } from './control-plane.js';
import { AdsTestClient, contentsOf } from './discovery/testing.js';
import { typeUrls } from './generate/generator.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function controlPlane(options: Partial<ControlPlaneOptions> = {}): ControlPlane {
  const plane = new ControlPlane({ sources: [], store: new MemoryStore(), xdsPort: 0, ...options });
  cleanups.push(() => plane.close({ drainMs: 0 }));
  return plane;
}

function connect(address: string): AdsTestClient {
  const client = new AdsTestClient(address);
  cleanups.push(() => client.close());
  return client;
}

const raw = (resourceName: string, text: string) => ({
  type: 'raw-resource' as const, key: `raw/${resourceName}`, namespace: '', name: resourceName, origin: 'test', createdAt: 0,
  typeUrl: typeUrls.endpoint, resourceName, value: new TextEncoder().encode(text),
});

describe('the control plane', () => {
  it('serves a raw resource to a real gRPC client, and its changes', async () => {
    const plane = controlPlane();
    plane.model.replace('file', [raw('a', 'one')]);
    const { xds } = await plane.start();
    const stream = connect(xds!).delta();
    stream.subscribe('endpoint', 'a');
    expect(contentsOf(await stream.next())).toEqual(['a=one']);
    plane.model.replace('file', [raw('a', 'two')]);
    expect(contentsOf(await stream.next())).toEqual(['a=two']);
  });

  it('says which port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    cleanups.push(() => taken.close());
    const { port } = taken.address() as AddressInfo;
    const error = await controlPlane({ xdsPort: port }).start().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'PortInUse', code: 'EADDRINUSE', message: `xds port: 127.0.0.1:${port} is in use by another process` });
  });
});
