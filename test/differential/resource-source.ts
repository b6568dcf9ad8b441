// Raw resources that the test holds itself, served by Weft's own control plane to Envoy and to Weft's client.
import type { ConfigObject, ConfigSource } from '@weft/xds-server';
import type { JsonObject } from './model.js';

type Sink = Parameters<ConfigSource['start']>[0];

export class ResourceSource implements ConfigSource {
  readonly name = 'differential';
  #sink: Sink | undefined;

  async start(sink: Sink): Promise<void> {
    this.#sink = sink;
  }

  /** Replaces what `part` holds. */
  set(part: string, resources: readonly JsonObject[]): void {
    const objects = resources.map((resource, i): ConfigObject => ({
      group: 'xds.weft', version: 'v1', kind: 'Resource', source: this.name,
      metadata: { name: `${part}-${i}`, namespace: '', labels: {}, annotations: {} },
      body: { path: `${part}.resources[${i}]`, resource },
      position: () => undefined,
    }));
    this.#sink!.replace(part, objects, []);
  }

  remove(part: string): void {
    this.#sink!.remove(part);
  }

  close(): void {
    this.#sink = undefined;
  }
}
