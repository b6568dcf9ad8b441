// What the HTTP port answers by itself.
import type { ConfigProblem } from '../config/config-object.js';
import type { DiscoveryService } from '../discovery/ads-service.js';
import { viewClient, viewResources } from '../discovery/client-view.js';
import { typeUrls } from '../generate/generator.js';
import type { ResourceGraph } from '../generate/resource-graph.js';
import type { MeshModel } from '../model/mesh-model.js';
import type { Service } from '../model/service.js';
import type { Registrar } from '../source/registration.js';
import { AdminError, AdminText, type AdminServer } from './admin-server.js';
import { formatMetrics, type Metric } from './metrics.js';

export interface AdminSubjects {
  readonly model: MeshModel;
  readonly graph: ResourceGraph;
  readonly discovery: DiscoveryService;
  readonly registrar: Registrar;
  ready(): boolean;
  problems(): readonly ConfigProblem[];
}

export function addBuiltinRoutes(admin: AdminServer, subjects: AdminSubjects): void {
  const { model, discovery, registrar } = subjects;
  admin.route('GET', '/healthz', () => new AdminText('ok\n'));
  admin.route('GET', '/readyz', () => (subjects.ready() ? new AdminText('ready\n') : new AdminText('not ready\n', { status: 503 })));
  admin.route('GET', '/metrics', () => new AdminText(formatMetrics(metricsOf(subjects)), { contentType: 'text/plain; version=0.0.4; charset=utf-8' }));
  admin.route('GET', '/v1', () => ({ routes: admin.routes() }));
  admin.route('GET', '/v1/clients', () => ({ clients: discovery.streams.map(viewClient) }));
  admin.route('GET', '/v1/services', () => ({ services: servicesOf(model).map((service) => viewService(model, service)) }));
  admin.route('GET', '/v1/problems', () => ({ problems: subjects.problems() }));
  admin.route('GET', '/v1/registrations', () => ({ registrations: registrar.list() }));
  admin.route('GET', '/v1/resources', ({ query }) => {
    const node = query.get('node');
    if (!node) throw new AdminError(400, 'which node? /v1/resources?node=ID[&type=TYPE][&name=NAME]; GET /v1/clients lists them');
    const stream = discovery.streams.find((candidate) => candidate.node?.id === node || String(candidate.number) === node);
    if (!stream) throw new AdminError(404, `node ${node} is not connected`);
    const [type, name] = [query.get('type'), query.get('name')];
    return { resources: viewResources(stream, { ...(type !== null && { type }), ...(name !== null && { name }) }) };
  });
}

function servicesOf(model: MeshModel): Service[] {
  return [...model.objects()].filter((object) => object.type === 'service').sort((a, b) => (a.host < b.host ? -1 : 1));
}

function viewService(model: MeshModel, service: Service) {
  const reader = model.reader(() => undefined);
  const { host, namespace, name, location, resolution, addresses, origin } = service;
  return {
    host,
    namespace,
    name,
    origin,
    location,
    resolution,
    addresses,
    ports: service.ports.map((port) => ({
      ...port,
      endpoints: reader.endpoints(service, port).map(({ address, port: number, workload }) => ({
        address,
        port: number,
        workload: workload.name,
        health: workload.health,
        ...(workload.serviceAccount !== undefined && { serviceAccount: workload.serviceAccount }),
      })),
    })),
  };
}

const shortTypes: Readonly<Record<string, string>> = {
  [typeUrls.secret]: 'sds', [typeUrls.cluster]: 'cds', [typeUrls.endpoint]: 'eds', [typeUrls.listener]: 'lds', [typeUrls.route]: 'rds',
};

function metricsOf({ model, graph, discovery, registrar, problems }: AdminSubjects): Metric[] {
  const { generatorRuns, encodes, notifications } = graph.stats;
  const { pushes, rejects, bytes, internalErrors, refused, registrationsRefused } = discovery.stats;
  const single = (name: string, type: Metric['type'], help: string, value: number): Metric => ({ name, type, help, samples: [{ value }] });
  const byLabel = (name: string, type: Metric['type'], help: string, label: string, values: Iterable<readonly [string, number]>): Metric => ({
    name, type, help, samples: [...values].map(([key, value]) => ({ labels: { [label]: key }, value })),
  });
  const byType = (counts: ReadonlyMap<string, number>) => Object.entries(shortTypes).map(([url, type]) => [type, counts.get(url) ?? 0] as const);
  const all = problems();
  return [
    byLabel('pilot_xds', 'gauge', 'Open discovery streams by kind of client.', 'profile', count(discovery.streams.map((stream) => stream.profile ?? 'unknown'), ['weft', 'grpc', 'envoy'])),
    byLabel('pilot_xds_pushes', 'counter', 'Responses sent.', 'type', byType(pushes)),
    byLabel('pilot_total_xds_rejects', 'counter', 'Responses that clients rejected.', 'type', byType(rejects)),
    single('pilot_total_xds_internal_errors', 'counter', 'Requests that failed inside the control plane.', internalErrors),
    single('pilot_services', 'gauge', 'Services in the model.', servicesOf(model).length),
    single('weft_xds_streams_refused_total', 'counter', 'Streams that were not authorized.', refused),
    single('weft_registrations_refused_total', 'counter', 'Ports that were not registered, for a quota.', registrationsRefused),
    single('weft_xds_bytes_total', 'counter', 'Bytes of responses sent.', bytes),
    single('weft_generator_runs_total', 'counter', 'Resources that were generated.', generatorRuns),
    single('weft_resource_encodes_total', 'counter', 'Resources that were encoded.', encodes),
    single('weft_resource_notifications_total', 'counter', 'Subscribers told of a changed resource.', notifications),
    single('weft_model_revision', 'gauge', 'Changes of the model since the start.', model.revision),
    single('weft_registrations', 'gauge', 'Ports that workloads registered.', registrar.size),
    byLabel('weft_config_problems', 'gauge', 'Present problems of the configuration.', 'severity', count(all.map(({ severity }) => severity), ['error', 'warning'])),
    single('process_resident_memory_bytes', 'gauge', 'Resident memory size in bytes.', process.memoryUsage.rss()),
    single('process_cpu_seconds_total', 'counter', 'User and system CPU time in seconds.', (process.cpuUsage().user + process.cpuUsage().system) / 1e6),
  ];
}

function count(values: readonly string[], always: readonly string[]): Map<string, number> {
  const counts = new Map(always.map((value) => [value, 0]));
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
