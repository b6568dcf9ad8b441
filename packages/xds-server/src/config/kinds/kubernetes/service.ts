// Kubernetes' Service. Fields that concern kube-proxy and cloud load balancers only are none of the mesh's business.
import type { Protocol, Service, ServicePort } from '../../../model/service.js';
import { noLocality, type Workload } from '../../../model/workload.js';
import type { ConfigKind } from '../../config-kind.js';
import type { ConfigObject } from '../../config-object.js';
import { Fields } from '../../fields.js';
import { hostProblem, modelBase } from '../../names.js';

export const service: ConfigKind = {
  group: '',
  kind: 'Service',
  versions: ['v1'],
  namespaced: true,
  normalize(object, context) {
    const spec = new Fields(object.body['spec'], 'spec', context);
    const base = modelBase(object);
    const selector = spec.labels('selector');
    const external = spec.string('type') === 'ExternalName' ? readExternalName(spec, object) : undefined;
    const result: Service = {
      ...base,
      type: 'service',
      host: `${base.name}.${base.namespace}.svc.${context.clusterDomain}`,
      cluster: true,
      ports: readPorts(spec),
      addresses: [...new Set([spec.string('clusterIP') ?? '', ...spec.strings('clusterIPs')])].filter((ip) => ip !== '' && ip !== 'None'),
      exportTo: readExports(object),
      location: 'internal',
      resolution: external ? 'dns' : Object.keys(selector).length > 0 ? 'selector' : 'slices',
      selector: external ? {} : selector,
      endpoints: external ?? [],
      subjectAltNames: [],
      ...(spec.oneOf('sessionAffinity', ['None', 'ClientIP']) === 'ClientIP' && { sessionAffinity: 'client-ip' }),
      ...readDistribution(spec),
    };
    return [result];
  },
};

const distributions = { PreferClose: 'close', PreferSameZone: 'same-zone', PreferSameNode: 'close' } as const;

function readDistribution(spec: Fields): Pick<Service, 'trafficDistribution'> {
  const given = spec.oneOf('trafficDistribution', Object.keys(distributions) as (keyof typeof distributions)[]);
  if (given === 'PreferSameNode') spec.warn('trafficDistribution', 'PreferSameNode: nodes are not known here, so it means PreferClose');
  return given ? { trafficDistribution: distributions[given] } : {};
}

/** Istio's annotation: namespaces, comma-separated. */
function readExports(object: ConfigObject): string[] {
  const list = (object.metadata.annotations['networking.istio.io/exportTo'] ?? '*').split(',').map((name) => name.trim());
  return list.filter((name) => name !== '' && name !== '~').map((name) => (name === '.' ? object.metadata.namespace : name));
}

function readPorts(spec: Fields): ServicePort[] {
  const numbers = new Set<number>();
  return spec.list('ports').flatMap((fields): ServicePort[] => {
    const number = fields.port('port');
    const name = fields.string('name') ?? '';
    const transport = fields.oneOf('protocol', ['TCP', 'UDP', 'SCTP']) ?? 'TCP';
    const target = fields.raw('targetPort');
    if (number === undefined) {
      if (!fields.has('port')) fields.error('port', 'is required');
      return [];
    }
    if (transport !== 'TCP') {
      fields.warn('protocol', `${transport} is not carried by the mesh: the port is left out`);
      return [];
    }
    if (numbers.has(number)) fields.error('port', `the port ${number} exists already`);
    numbers.add(number);
    const targetPort = typeof target === 'string' && target !== '' ? target : (fields.port('targetPort') ?? number);
    return [{ number, name, protocol: portProtocol(fields.string('appProtocol'), name, number), targetPort }];
  });
}

const protocols = new Map<string, Protocol>([
  ['http', 'http'], ['http2', 'http2'], ['h2c', 'http2'], ['grpc', 'grpc'], ['grpc-web', 'http'], ['https', 'https'], ['tls', 'tls'], ['tcp', 'tcp'],
  ['mongo', 'tcp'], ['redis', 'tcp'], ['mysql', 'tcp'],
  ['kubernetes.io/h2c', 'http2'], ['kubernetes.io/ws', 'http'], ['kubernetes.io/wss', 'https'],
]);

/**
 * `appProtocol`, then the part of the port's name before `-`. Where neither says anything Istio looks at the bytes; a
 * client in the process knows that it speaks HTTP, so the port is HTTP (443: HTTPS).
 */
export function portProtocol(appProtocol: string | undefined, name: string, number: number): Protocol {
  const prefix = name.startsWith('grpc-web') ? 'grpc-web' : name.split('-')[0]!;
  return protocols.get(appProtocol?.toLowerCase() ?? '') ?? protocols.get(prefix.toLowerCase()) ?? (number === 443 ? 'https' : 'http');
}

function readExternalName(spec: Fields, object: ConfigObject): Workload[] {
  const address = spec.requiredString('externalName').toLowerCase().replace(/\.$/, '');
  const problem = address && hostProblem(address);
  if (problem) spec.error('externalName', problem);
  const base = modelBase(object);
  return [{ ...base, type: 'workload', key: `${base.key}/external`, address, ports: {}, labels: {}, locality: noLocality, health: 'healthy', via: 'inline' }];
}
