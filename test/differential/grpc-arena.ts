// gRPC calls of grpc-js's client through a real Envoy and through Weft's channel. One listener a side, and a virtual host's worth of routes
// for each table, told apart by the authority.
import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import grpc from '@grpc/grpc-js';
import { silentLogger } from '@weft/spiffe';
import { heldPort } from '../support/free-port.js';
import { runEnvoy } from '../support/envoy-process.js';
import { groupYaml, TestMesh } from '../support/test-mesh.js';
import type { GrpcCall, ScriptedCall } from './generate/grpc-case.js';
import { listening } from './listening.js';
import type { HeaderValues, JsonObject } from './model.js';

const types = 'type.googleapis.com/envoy';
const idHeader = 'x-case-id';
const scriptHeader = 'x-case-script';
const concurrency = 16;

export interface GrpcCase {
  routes: JsonObject[];
  call: GrpcCall;
}

export interface GrpcArrival {
  host: string;
  path: string;
  authority: string;
  headers: HeaderValues;
}

export interface GrpcObservation {
  code: number;
  message: string;
  /** Of the head and of the trailers: where there is only one of both, they are the same. */
  metadata: HeaderValues;
  attempts: GrpcArrival[];
}

export async function grpcObservations(envoyBinary: string, cases: readonly GrpcCase[]): Promise<{ envoy: GrpcObservation; weft: GrpcObservation }[]> {
  const backend = new GrpcBackend();
  const clusters = [await backend.cluster('one'), await backend.cluster('two')];
  const tables = [...new Set(cases.map(({ routes }) => routes))];
  const manager = {
    '@type': `${types}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`, stat_prefix: 'grpc', use_remote_address: true, generate_request_id: false, stream_idle_timeout: '0s',
    internal_address_config: { cidr_ranges: [{ address_prefix: '127.0.0.0', prefix_len: 8 }] }, server_header_transformation: 'PASS_THROUGH',
    route_config: { name: 'routes', validate_clusters: false, virtual_hosts: tables.map((routes, i) => ({ name: `vh-${i}`, domains: [authority(i)], routes })) },
    http_filters: [{ name: 'envoy.filters.http.fault', typed_config: { '@type': `${types}.extensions.filters.http.fault.v3.HTTPFault` } }, { name: 'envoy.filters.http.router', typed_config: { '@type': `${types}.extensions.filters.http.router.v3.Router` } }],
  };
  const { port, release } = await heldPort();
  await release();
  const listener = { name: 'grpc', address: { socket_address: { address: '127.0.0.1', port_value: port } }, filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }] };
  const envoy = runEnvoy(envoyBinary, JSON.stringify({ node: { id: 'grpc', cluster: 'grpc' }, static_resources: { listeners: [listener], clusters } }));
  const resources = [
    ...clusters.map((one) => ({ '@type': `${types}.config.cluster.v3.Cluster`, ...one })),
    { '@type': `${types}.config.listener.v3.Listener`, name: 'grpc.test:80', api_listener: { api_listener: manager } },
  ];
  const mesh = await TestMesh.start({ 'resources.json': JSON.stringify({ resources }), 'group.yaml': groupYaml('caller', 'caller') });
  const { client: weft } = await mesh.workload('caller', 'caller', { outboundTrafficPolicy: 'REGISTRY_ONLY', logger: silentLogger });
  await weft.ready();
  const problems = mesh.controlPlane.problems();
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  const callers = tables.map((_routes, i) => [
    new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), { 'grpc.default_authority': authority(i), 'grpc.enable_retries': 0 }),
    new grpc.Client('xds:///grpc.test:80', grpc.credentials.createInsecure(), { ...weft.grpc(), 'grpc.default_authority': authority(i) }),
  ] as const);
  try {
    await listening(port, envoy);
    const outcomes: { envoy: GrpcObservation; weft: GrpcObservation }[] = [];
    let next = 0;
    const worker = async () => {
      while (next < cases.length) {
        const i = next++;
        const { routes, call } = cases[i]!;
        const [ofEnvoy, ofWeft] = await Promise.all(callers[tables.indexOf(routes)]!.map((caller, side) => observe(caller, `${i}-${side}`, call, backend)));
        outcomes[i] = { envoy: ofEnvoy!, weft: ofWeft! };
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
    return outcomes;
  } finally {
    for (const caller of callers.flat()) caller.close();
    await envoy.close();
    await mesh.close();
    await backend.close();
  }
}

function authority(table: number): string {
  return `t${table}.test`;
}

const bytes = (value: Buffer) => value;

function observe(caller: grpc.Client, id: string, { path, metadata, script }: GrpcCall, backend: GrpcBackend): Promise<GrpcObservation> {
  const sent = new grpc.Metadata();
  for (const [name, value] of metadata) sent.add(name, value);
  sent.set(idHeader, id);
  if (script.length > 0) sent.set(scriptHeader, Buffer.from(JSON.stringify(script)).toString('base64url'));
  return new Promise((resolve) => {
    const received: HeaderValues = {};
    const add = (more: grpc.Metadata) => {
      for (const name of Object.keys(more.getMap())) (received[name] ??= []).push(...more.get(name).map(String));
    };
    const running = caller.makeUnaryRequest(path, bytes, bytes, Buffer.from('request'), sent, { deadline: Date.now() + 15_000 }, () => undefined);
    running.on('metadata', add);
    running.on('status', ({ code, details, metadata: trailers }) => {
      add(trailers);
      resolve({ code, message: details, metadata: received, attempts: backend.take(id) });
    });
  });
}

class GrpcBackend {
  readonly #servers: Http2Server[] = [];
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #arrivals = new Map<string, GrpcArrival[]>();

  async cluster(name: string): Promise<JsonObject> {
    const server = createServer().on('session', (session) => {
      this.#sessions.add(session);
      session.on('close', () => this.#sessions.delete(session));
    });
    server.on('stream', (stream, headers) => this.#serve(name, stream, headers));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#servers.push(server);
    const { port } = server.address() as AddressInfo;
    return {
      name, type: 'STATIC', connect_timeout: '5s', circuit_breakers: { thresholds: [{ max_retries: 10_000 }] },
      load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }] }] },
      typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': `${types}.extensions.upstreams.http.v3.HttpProtocolOptions`, explicit_http_config: { http2_protocol_options: {} } } },
    };
  }

  take(id: string): GrpcArrival[] {
    const arrivals = this.#arrivals.get(id) ?? [];
    this.#arrivals.delete(id);
    return arrivals;
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  #serve(host: string, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const id = String(headers[idHeader]);
    const script = headers[scriptHeader] === undefined ? [] : (JSON.parse(Buffer.from(String(headers[scriptHeader]), 'base64url').toString()) as ScriptedCall[]);
    let known = this.#arrivals.get(id);
    if (!known) this.#arrivals.set(id, (known = []));
    const answer = script[known.length] ?? { status: 0, trailersOnly: false, headers: [], trailers: [] };
    const plain = Object.entries(headers).filter(([name]) => !name.startsWith(':') && name !== idHeader && name !== scriptHeader);
    known.push({ host, path: String(headers[':path']), authority: String(headers[':authority']), headers: Object.fromEntries(plain.map(([name, value]) => [name, [value ?? ''].flat()])) });
    stream.on('error', () => undefined);
    stream.resume().on('end', () => respond(stream, answer));
  }
}

function respond(stream: ServerHttp2Stream, { status, trailersOnly, headers, trailers }: ScriptedCall): void {
  const head = { ':status': 200, 'content-type': 'application/grpc', ...Object.fromEntries(headers) };
  const end = { 'grpc-status': String(status), 'grpc-message': status === 0 ? '' : `scripted ${status}`, ...Object.fromEntries(trailers) };
  if (trailersOnly && status !== 0) return stream.respond({ ...head, ...end }, { endStream: true });
  stream.respond(head, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(end));
  stream.end(status === 0 ? Buffer.from([0, 0, 0, 0, 2, 111, 107]) : undefined);
}
