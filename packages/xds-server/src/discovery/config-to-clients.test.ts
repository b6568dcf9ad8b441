import { fromBinary } from '@weft/xds-api/protobuf';
import { MemoryStore, type Store } from '@weft/store';
import { ClusterLoadAssignmentSchema } from '@weft/xds-api/endpoint';
import { afterEach, describe, expect, it } from 'vitest';
import { ControlPlane, type ControlPlaneOptions } from '../control-plane.js';
import { AdsTestClient } from './testing.js';
import { parseConfigFile } from '../source/config-file.js';
import type { ConfigSink, ConfigSource } from '../source/config-source.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** One file that the test writes. */
class TextSource implements ConfigSource {
  readonly name: string;
  #text: string;
  #sink: ConfigSink | undefined;
  closed = false;
  constructor(name: string, text: string) {
    this.name = name;
    this.#text = text;
  }
  async start(sink: ConfigSink): Promise<void> {
    this.#sink = sink;
    this.write(this.#text);
  }
  write(text: string): void {
    this.#text = text;
    const { objects, problems } = parseConfigFile('mesh.yaml', text, this.name);
    this.#sink?.replace(`${this.name}/mesh.yaml`, objects, problems);
  }
  close(): void {
    this.closed = true;
  }
}

const entry = (address: string, resolution = 'STATIC') => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: api, namespace: default }
spec:
  hosts: [api.example.com]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: ${resolution}
  location: MESH_INTERNAL
  endpoints: [{ address: ${address}, ports: { http: 8080 } }]
`;

async function start(source: TextSource, options: Partial<ControlPlaneOptions> = {}) {
  const plane = new ControlPlane({ sources: [source], store: new MemoryStore(), xdsPort: 0, httpPort: null, ...options });
  cleanups.push(() => plane.close({ drainMs: 0 }));
  return { plane, ...(await plane.start()) };
}

async function endpoints(address: string) {
  const client = new AdsTestClient(address);
  cleanups.push(() => client.close());
  const stream = client.delta();
  stream.subscribe('endpoint', 'outbound|80||api.example.com');
  return async () => {
    const [resource] = (await stream.next()).resources;
    const { endpoints: localities } = fromBinary(ClusterLoadAssignmentSchema, resource!.resource!.value);
    return localities.flatMap(({ lbEndpoints }) => lbEndpoints.map(({ hostIdentifier }) => (hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined))).map((found) => (found?.case === 'socketAddress' ? found.value.address : ''));
  };
}

describe('from configuration to clients', () => {
  it('sends what the sources say, and their changes', async () => {
    const source = new TextSource('file', entry('10.0.0.1'));
    const { xds } = await start(source);
    const next = await endpoints(xds);
    expect(await next()).toEqual(['10.0.0.1']);
    source.write(entry('10.0.0.2'));
    expect(await next()).toEqual(['10.0.0.2']);
  });

  it('keeps the last good version of an object that went bad, also over a restart, and reports it', async () => {
    const store: Store = new MemoryStore();
    const source = new TextSource('file', entry('10.0.0.1'));
    const { plane } = await start(source, { store });
    expect([plane.problems(), plane.rejected()]).toEqual([[], []]);
    source.write(entry('10.0.0.2', 'SOMETIMES'));
    expect(plane.problems()[0]).toMatchObject({ severity: 'error', object: 'ServiceEntry default/api', field: 'spec.resolution' });
    expect(plane.rejected()).toEqual([]);
    await plane.close({ drainMs: 0 });
    expect(source.closed).toBe(true);
    const { xds } = await start(source, { store });
    expect(await (await endpoints(xds))()).toEqual(['10.0.0.1']);
  });

  it('tells what no version of was ever good', async () => {
    const { plane } = await start(new TextSource('file', entry('10.0.0.1', 'SOMETIMES')));
    expect(plane.rejected()[0]).toMatchObject({ object: 'ServiceEntry default/api' });
  });

  it('does not start, and leaves nothing open, where a source cannot', async () => {
    const source = new TextSource('file', '');
    source.start = () => Promise.reject(new Error('no such folder'));
    await expect(start(source)).rejects.toThrow('no such folder');
    expect(source.closed).toBe(true);
  });
});
