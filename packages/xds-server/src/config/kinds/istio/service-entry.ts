// ServiceEntry (istio-envoy.md 1.6): each of its hosts becomes a service.
import { isIP } from 'node:net';
import { isHttp, type Protocol, type Service, type ServicePort } from '../../../model/service.js';
import { noLocality, type Workload } from '../../../model/workload.js';
import type { ConfigKind } from '../../config-kind.js';
import type { ConfigObject } from '../../config-object.js';
import type { Fields } from '../../fields.js';
import { joinPath } from '../../field-path.js';
import { hostProblem, modelBase, readExportTo } from '../../names.js';
import { istioVersions, networking, readSpec } from './api.js';
import { addressProblem } from './workload-entry.js';
import { readWorkloadFields } from './workload-fields.js';

const resolutions = ['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'] as const;
type Resolution = (typeof resolutions)[number];

export const serviceEntry: ConfigKind = {
  group: networking,
  kind: 'ServiceEntry',
  versions: istioVersions,
  namespaced: true,
  normalize(object, context) {
    const spec = readSpec(object, context);
    const hosts = readHosts(spec);
    const resolution = spec.oneOf('resolution', resolutions) ?? 'NONE';
    const selector = readSelector(spec);
    const endpoints = readEndpoints(spec, object);
    const shared = {
      ports: readPorts(spec),
      addresses: readAddresses(spec),
      exportTo: readExportTo(spec, object.metadata.namespace),
      location: spec.oneOf('location', ['MESH_EXTERNAL', 'MESH_INTERNAL']) === 'MESH_INTERNAL' ? 'internal' : 'external',
      resolution: modelResolution(resolution, Object.keys(selector).length > 0),
      selector,
      subjectAltNames: spec.strings('subjectAltNames'),
    } as const;
    check(spec, resolution, shared.ports, endpoints, hosts, Object.keys(selector).length > 0);
    spec.finish();
    const base = modelBase(object);
    return hosts.map((host): Service => {
      const cluster = host.endsWith(`.${base.namespace}.svc.${context.clusterDomain}`);
      const service = { ...base, ...shared, resolution: hostResolution(resolution, host, shared), type: 'service', key: `${base.key}/${host}`, host, cluster } as const;
      return { ...service, endpoints: endpointsOf(service, endpoints) };
    });
  },
};

function readHosts(spec: Fields): string[] {
  const hosts = spec.strings('hosts');
  if (hosts.length === 0) spec.error('hosts', 'is required');
  if (hosts.length > 256) spec.error('hosts', `has ${hosts.length} entries; at most 256 are allowed`);
  hosts.forEach((host, at) => {
    const problem = host === '*' ? 'cannot be * alone' : hostProblem(host);
    if (problem) spec.report.error(joinPath(spec.at('hosts'), at), problem);
  });
  return [...new Set(hosts.map((host) => host.toLowerCase().replace(/\.$/, '')))];
}

function readSelector(spec: Fields): Record<string, string> {
  spec.exclusive('endpoints', 'workloadSelector');
  const fields = spec.object('workloadSelector');
  const labels = fields?.labels('labels') ?? {};
  fields?.finish();
  if (fields && Object.keys(labels).length === 0) fields.error('labels', 'is required: an empty selector would select nothing');
  return labels;
}

const protocols: Readonly<Record<string, Protocol>> = {
  HTTP: 'http', HTTPS: 'https', GRPC: 'grpc', 'GRPC-WEB': 'http', HTTP2: 'http2', MONGO: 'tcp', REDIS: 'tcp', MYSQL: 'tcp', TCP: 'tcp', TLS: 'tls',
};

function readPorts(spec: Fields): ServicePort[] {
  const numbers = new Set<number>();
  const names = new Set<string>();
  const ports = spec.list('ports').map((fields): ServicePort => {
    const number = fields.port('number') ?? 0;
    if (!fields.has('number')) fields.error('number', 'is required');
    const name = fields.requiredString('name');
    const given = fields.string('protocol')?.toUpperCase();
    if (given === undefined) fields.warn('protocol', 'is missing: taken to be TCP');
    else if (!protocols[given]) fields.error('protocol', `${given} is none of ${Object.keys(protocols).join(', ')}`);
    const targetPort = fields.port('targetPort') ?? number;
    fields.finish();
    if (numbers.has(number)) fields.error('number', `the port ${number} exists already`);
    if (names.has(name)) fields.error('name', `the port ${name} exists already`);
    numbers.add(number);
    names.add(name);
    return { number, name, protocol: protocols[given ?? 'TCP'] ?? 'tcp', targetPort };
  });
  if (ports.length === 0) spec.error('ports', 'is required');
  return ports;
}

function readAddresses(spec: Fields): string[] {
  return spec.strings('addresses').flatMap((address, at) => {
    if (isIP(address)) return [address.toLowerCase()];
    const place = joinPath(spec.at('addresses'), at);
    const [ip = '', bits] = address.split('/');
    if (isIP(ip) && bits !== undefined && /^\d{1,3}$/.test(bits)) spec.report.warn(place, 'ranges are not implemented: a client cannot dial one');
    else spec.report.error(place, `${JSON.stringify(address)} is neither an address nor a range`);
    return [];
  });
}

function readEndpoints(spec: Fields, object: ConfigObject): Workload[] {
  const base = modelBase(object);
  return spec.list('endpoints').map((fields, at): Workload => {
    const { network: _, ...rest } = readWorkloadFields(fields);
    const problem = addressProblem(rest.address);
    if (problem) fields.error('address', problem);
    return { ...base, ...rest, type: 'workload', key: `${base.key}/${at}`, health: 'healthy', via: 'inline' };
  });
}

function modelResolution(resolution: Resolution, selects: boolean): Service['resolution'] {
  if (resolution === 'STATIC') return selects ? 'selector' : 'static';
  return resolution === 'DNS' ? 'dns' : resolution === 'DNS_ROUND_ROBIN' ? 'logical-dns' : 'none';
}

/**
 * What is resolved per request is a single name's own address where the host is no wildcard. NONE sends where the application connects to, and
 * it would look the name up: so do we in its place. With virtual addresses that name may not exist at all.
 */
function hostResolution(resolution: Resolution, host: string, { resolution: given, addresses }: Pick<Service, 'resolution' | 'addresses'>): Service['resolution'] {
  const wildcard = host.startsWith('*');
  if (resolution === 'DYNAMIC_DNS') return wildcard ? 'dynamic-dns' : 'dns';
  return resolution === 'NONE' && !wildcard && addresses.length === 0 ? 'logical-dns' : given;
}

function check(spec: Fields, resolution: Resolution, ports: readonly ServicePort[], endpoints: readonly Workload[], hosts: readonly string[], selects: boolean): void {
  const wildcard = hosts.find((host) => host.startsWith('*'));
  if ((resolution === 'NONE' || resolution === 'DYNAMIC_DNS') && (endpoints.length > 0 || selects)) spec.error('resolution', `${resolution} has no endpoints: set STATIC or DNS`);
  if (resolution === 'DYNAMIC_DNS' && ports.some(({ protocol }) => !isHttp(protocol))) spec.warn('ports', 'only HTTP requests say which name to resolve: with DYNAMIC_DNS clients get no cluster for the other ports');
  if (resolution === 'STATIC' && endpoints.length === 0 && !selects) spec.error('endpoints', 'is required with STATIC (or workloadSelector)');
  if (wildcard && resolution.startsWith('DNS') && endpoints.length === 0 && !selects) spec.error('resolution', `${wildcard} cannot be looked up in DNS: endpoints are required`);
  if (resolution === 'DNS_ROUND_ROBIN' && endpoints.length > 1) spec.error('endpoints', 'DNS_ROUND_ROBIN has one at most');
  endpoints.forEach(({ address }, at) => {
    const place = `${joinPath(spec.at('endpoints'), at)}.address`;
    if (resolution === 'STATIC' && address && !isIP(address) && !address.startsWith('unix:')) spec.report.error(place, `${address} is not an IP address, as STATIC requires`);
    if (resolution.startsWith('DNS') && address.startsWith('unix:')) spec.report.error(place, 'cannot be a socket file with DNS');
  });
}

/** Endpoints belong to one service each: with several hosts, each has its own copies. Under DNS the host itself may be the endpoint. */
function endpointsOf(service: Omit<Service, 'endpoints'>, given: readonly Workload[]): Workload[] {
  const { key, namespace, name, origin, createdAt, host, resolution, selector } = service;
  const dns = resolution === 'dns' || resolution === 'logical-dns';
  if (given.length === 0 && dns && Object.keys(selector).length === 0) {
    return [{ type: 'workload', key: `${key}/0`, namespace, name, origin, createdAt, address: host, ports: {}, labels: {}, locality: noLocality, health: 'healthy', via: 'inline' }];
  }
  return given.map((endpoint, at) => ({ ...endpoint, key: `${key}/${at}` }));
}
