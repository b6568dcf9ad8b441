// The same requests through Weft's client: an api_listener a table, dialled by its name.
import type { AccessLogEntry } from '@weft/data-plane';
import { silentLogger } from '@weft/spiffe';
import { TestMesh, groupYaml, type TestWorkload } from '../support/test-mesh.js';
import { headerValues, idHeader } from './backends.js';
import { encodeScript, exchange, type Answer } from './exchange.js';
import type { CaseRequest, JsonObject, Table } from './model.js';
import { ResourceSource } from './resource-source.js';

const hcmType = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

export class WeftSide {
  readonly mesh: TestMesh;
  readonly source: ResourceSource;
  readonly #workload: TestWorkload;
  readonly #log: Map<string, AccessLogEntry>;

  private constructor(mesh: TestMesh, source: ResourceSource, workload: TestWorkload, log: Map<string, AccessLogEntry>) {
    this.mesh = mesh;
    this.source = source;
    this.#workload = workload;
    this.#log = log;
  }

  static async start(): Promise<WeftSide> {
    const source = new ResourceSource();
    const mesh = await TestMesh.start({ 'client.yaml': groupYaml('client', 'client') }, { sources: [source] });
    const log = new Map<string, AccessLogEntry>();
    const workload = await mesh.workload('client', 'client', { outboundTrafficPolicy: 'REGISTRY_ONLY', logger: silentLogger, accessLog: (entry) => void log.set(entry.request_id ?? '', entry) });
    await workload.client.ready();
    return new WeftSide(mesh, source, workload, log);
  }

  listener(name: string, { httpFilters, routes }: Table): JsonObject {
    return {
      '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
      name: `${name}.test:80`,
      api_listener: { api_listener: { '@type': hcmType, stat_prefix: 'd', route_config: routes, http_filters: httpFilters } },
    };
  }

  async send(name: string, id: string, request: CaseRequest): Promise<Answer> {
    const headers = [...request.headers, [idHeader, id], ...encodeScript(request.script), ['host', request.authority]].flat();
    const answer = await exchange(this.#workload.client.dispatcher, { origin: `http://${name}.test`, method: request.method, path: request.path, headers, ...(request.body !== undefined && { body: request.body }) });
    const entry = this.#log.get(id);
    this.#log.delete(id);
    return {
      ...answer,
      headers: headerValues(answer.rawHeaders),
      flags: entry?.response_flags ?? '',
      details: entry?.response_code_details ?? '',
      cluster: entry?.upstream_cluster ?? '',
      route: entry?.route_name ?? '',
    };
  }

  get problems(): readonly string[] {
    return this.mesh.controlPlane.problems().map((problem) => `${problem.field ?? ''}: ${problem.reason}`);
  }

  async close(): Promise<void> {
    await this.mesh.close();
  }
}
