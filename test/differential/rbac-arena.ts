// Authorization by a real Envoy and by a Weft server, of the same requests. One listener a side, and a route for each set of rules.
import { createServer } from 'node:http';
import { Pool } from 'undici';
import { silentLogger } from '@weft/spiffe';
import { heldPort } from '../support/free-port.js';
import { runEnvoy, type EnvoyProcess } from '../support/envoy-process.js';
import { groupYaml, TestMesh } from '../support/test-mesh.js';
import { exchange } from './exchange.js';
import { portPlaceholder, rbacFilters } from './generate/filter-rbac.js';
import { headerValues } from './backends.js';
import { listening } from './listening.js';
import type { CaseRequest, JsonObject } from './model.js';

const types = 'type.googleapis.com/envoy.extensions.filters';
const rulesHeader = 'x-rules';
const detailsHeader = 'x-observed-details';

export interface RbacCase {
  rules: JsonObject;
  request: CaseRequest;
}

/** `allowed`, or which policy denied it (`none`: no ALLOW policy matched). */
export interface RbacOutcome {
  envoy: string;
  weft: string;
}

/** Both sides' verdicts on all cases. */
export async function rbacVerdicts(envoyBinary: string, cases: readonly RbacCase[]): Promise<RbacOutcome[]> {
  const tables = [...new Set(cases.map(({ rules }) => rules))];
  const ports = [await heldPort(), await heldPort()] as const;
  const [envoyPort, weftPort] = ports.map(({ port }) => port) as [number, number];
  for (const { release } of ports) await release();
  const envoy = startEnvoy(envoyBinary, envoyPort, tables);
  const mesh = await startWeft(weftPort, tables);
  const [toEnvoy, toWeft] = [envoyPort, weftPort].map((port) => new Pool(`http://127.0.0.1:${port}`, { connections: 8 })) as [Pool, Pool];
  try {
    await listening(envoyPort, envoy);
    const outcomes: RbacOutcome[] = [];
    let next = 0;
    const worker = async () => {
      while (next < cases.length) {
        const i = next++;
        const { rules, request } = cases[i]!;
        const [ofEnvoy, ofWeft] = await Promise.all([toEnvoy, toWeft].map((pool) => verdict(pool, tables.indexOf(rules), request)));
        outcomes[i] = { envoy: ofEnvoy!, weft: ofWeft! };
      }
    };
    await Promise.all(Array.from({ length: 16 }, worker));
    return outcomes;
  } finally {
    await Promise.all([toEnvoy.destroy(), toWeft.destroy()]);
    await envoy.close();
    await mesh.close();
  }
}

async function verdict(pool: Pool, table: number, { method, path, authority, headers }: CaseRequest): Promise<string> {
  const answer = await exchange(pool, { method, path, headers: [...headers, [rulesHeader, String(table)], ['host', authority]].flat() });
  if (answer.status === 200) return 'allowed';
  const [details] = headerValues(answer.rawHeaders)[detailsHeader] ?? [];
  return /^rbac_access_denied_matched_policy\[(.*)\]$/.exec(details ?? '')?.[1] ?? `${answer.status} ${details} ${answer.error ?? answer.body}`;
}

/** Why, as a header of the response: outermost, where Envoy has no other place that sees its own answers. */
const observer: JsonObject = {
  name: 'observer',
  typed_config: { '@type': `${types}.http.header_mutation.v3.HeaderMutation`, mutations: { response_mutations: [{ append: { header: { key: detailsHeader, value: '%RESPONSE_CODE_DETAILS%' } } }] } },
};

function connectionManager(tables: readonly JsonObject[], port: number, action: JsonObject): JsonObject {
  return {
    '@type': `${types}.network.http_connection_manager.v3.HttpConnectionManager`, stat_prefix: 'rbac', codec_type: 'HTTP1', normalize_path: true, merge_slashes: true, use_remote_address: true,
    http_filters: [observer, ...rbacFilters],
    route_config: {
      name: 'routes',
      virtual_hosts: [{
        name: 'any', domains: ['*'],
        routes: tables.map((rules, i) => ({
          match: { prefix: '/', headers: [{ name: rulesHeader, string_match: { exact: String(i) } }] },
          ...action,
          typed_per_filter_config: { rbac: { '@type': `${types}.http.rbac.v3.RBACPerRoute`, rbac: { rules: JSON.parse(JSON.stringify(rules).replaceAll(String(portPlaceholder), String(port))) as JsonObject } } },
        })),
      }],
    },
  };
}

function listener(name: string, port: number, manager: JsonObject): JsonObject {
  return { name, address: { socket_address: { address: '127.0.0.1', port_value: port } }, filter_chains: [{ name: 'chain', filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }] };
}

function startEnvoy(binary: string, port: number, tables: readonly JsonObject[]): EnvoyProcess {
  return runEnvoy(binary, JSON.stringify({ node: { id: 'rbac', cluster: 'rbac' }, static_resources: { listeners: [listener('rbac', port, connectionManager(tables, port, { direct_response: { status: 200 } }))] } }));
}

async function startWeft(port: number, tables: readonly JsonObject[]): Promise<TestMesh> {
  const resource = { '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener', ...listener(`weft/inbound/http/127.0.0.1:${port}`, port, connectionManager(tables, port, { non_forwarding_action: {} })) };
  const mesh = await TestMesh.start({ 'resources.json': JSON.stringify({ resources: [resource] }), 'group.yaml': groupYaml('judge', 'judge') });
  const { server } = await mesh.workload('judge', 'judge', { logger: silentLogger });
  await server.listen(createServer((_request, response) => response.end()), { port, host: '127.0.0.1', name: 'http' });
  await server.ready(AbortSignal.timeout(20_000));
  return mesh;
}
