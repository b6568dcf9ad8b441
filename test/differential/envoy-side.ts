// The requests of a differential run through a real Envoy: one listener a table, on Unix sockets, so that no port is needed.
import { mkdtempSync, rmSync, existsSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'undici';
import { startEnvoy, type EnvoyProcess } from '../support/envoy-process.js';
import { headerValues, idHeader } from './backends.js';
import { encodeScript, exchange, type Answer } from './exchange.js';
import type { CaseRequest, JsonObject, Table } from './model.js';

const hcmType = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const mutationType = 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation';

/** What Envoy's access log would say, as response headers of the outermost filter: in time, and matched to its request. */
const observed = { 'x-observed-flags': '%RESPONSE_FLAGS%', 'x-observed-details': '%RESPONSE_CODE_DETAILS%', 'x-observed-cluster': '%UPSTREAM_CLUSTER%', 'x-observed-route': '%ROUTE_NAME%' };

export class EnvoySide {
  readonly #process: EnvoyProcess;
  readonly #folder: string;
  readonly #pools = new Map<string, Pool>();

  private constructor(process: EnvoyProcess, folder: string) {
    this.#process = process;
    this.#folder = folder;
  }

  static async start(binary: string, controlPlane: string): Promise<EnvoySide> {
    return new EnvoySide(await startEnvoy(binary, controlPlane, 0), mkdtempSync(join(tmpdir(), 'weft-differential-')));
  }

  listener(name: string, { httpFilters, routes }: Table): JsonObject {
    const observer = {
      name: 'observer',
      typed_config: {
        '@type': mutationType,
        mutations: { response_mutations: Object.entries(observed).map(([key, value]) => ({ append: { header: { key, value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' } })) },
      },
    };
    return {
      '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
      name: `envoy-${name}`,
      address: { pipe: { path: this.#socket(name) } },
      filter_chains: [{
        filters: [{
          name: 'http',
          typed_config: {
            '@type': hcmType, stat_prefix: 'd', codec_type: 'HTTP1', server_header_transformation: 'PASS_THROUGH', generate_request_id: false, stream_idle_timeout: '0s',
            // The caller is internal, as the own process is to Weft: its x-envoy-* headers count.
            use_remote_address: true, skip_xff_append: true, internal_address_config: { unix_sockets: true },
            route_config: routes, http_filters: [observer, ...httpFilters],
          },
        }],
      }],
    };
  }

  /** Whether the listener is there. */
  has(name: string): boolean {
    return existsSync(this.#socket(name));
  }

  /** Whether it takes connections already. */
  accepts(name: string): Promise<boolean> {
    if (!this.has(name)) return Promise.resolve(false);
    return new Promise((resolve) => {
      const socket = connect(this.#socket(name), () => resolve(true)).on('error', () => resolve(false)).on('connect', () => socket.destroy());
    });
  }

  log(): string {
    return this.#process.log();
  }

  async send(name: string, id: string, request: CaseRequest): Promise<Answer> {
    let pool = this.#pools.get(name);
    if (!pool) this.#pools.set(name, (pool = new Pool('http://envoy.test', { socketPath: this.#socket(name), connections: 4, headersTimeout: 20_000, bodyTimeout: 20_000 })));
    const headers = [...request.headers, [idHeader, id], ...encodeScript(request.script), ['host', request.authority]].flat();
    const answer = await exchange(pool, { method: request.method, path: request.path, headers, ...(request.body !== undefined && { body: request.body }) });
    const values = headerValues(answer.rawHeaders);
    const take = (header: string) => {
      const value = values[header]?.join(',') ?? '';
      delete values[header];
      return value === '-' ? '' : value;
    };
    return { ...answer, headers: values, flags: take('x-observed-flags'), details: take('x-observed-details'), cluster: take('x-observed-cluster'), route: take('x-observed-route') };
  }

  async forget(name: string): Promise<void> {
    await this.#pools.get(name)?.destroy();
    this.#pools.delete(name);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
    await this.#process.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #socket(name: string): string {
    return join(this.#folder, `${name}.sock`);
  }
}
