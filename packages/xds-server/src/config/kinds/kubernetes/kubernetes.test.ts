import { describe, expect, it } from 'vitest';
import { kindText, normalizeText, only } from '../../testing.js';
import { portProtocol } from './service.js';

const service = (spec: string, metadata?: string) => kindText('v1', 'Service', spec, metadata);

describe('Service', () => {
  it('is a host of the cluster with ports, addresses and selector', () => {
    expect(only('service', service('{selector: {app: a}, clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, "2001:db8::1"], ports: [{name: http, port: 80, targetPort: 8080}, {name: grpc-api, port: 81, targetPort: api}]}', 'name: a, namespace: shop'))).toMatchObject({
      host: 'a.shop.svc.cluster.local', cluster: true, selector: { app: 'a' }, resolution: 'selector', location: 'internal', addresses: ['10.96.0.1', '2001:db8::1'], exportTo: ['*'],
      ports: [{ number: 80, name: 'http', protocol: 'http', targetPort: 8080 }, { number: 81, name: 'grpc-api', protocol: 'grpc', targetPort: 'api' }],
    });
  });

  it('without selector has its slices, as an ExternalName its DNS name, headless no address', () => {
    expect(only('service', service('{ports: [{port: 80}]}')).resolution).toBe('slices');
    expect(only('service', service('{type: ExternalName, externalName: A.test, ports: [{port: 80}]}'))).toMatchObject({ resolution: 'dns', endpoints: [{ address: 'a.test' }] });
    expect(only('service', service('{clusterIP: None, selector: {a: b}}')).addresses).toEqual([]);
  });

  it('takes Istio\'s annotation for its visibility', () => {
    expect(only('service', service('{}', 'name: x, annotations: {networking.istio.io/exportTo: "., other"}')).exportTo).toEqual(['default', 'other']);
  });

  it('says how it is balanced', () => {
    expect(only('service', service('{sessionAffinity: ClientIP, trafficDistribution: PreferSameZone}'))).toMatchObject({ sessionAffinity: 'client-ip', trafficDistribution: 'same-zone' });
    expect(only('service', service('{sessionAffinity: None, trafficDistribution: PreferClose}'))).toMatchObject({ trafficDistribution: 'close' });
    expect(normalizeText(service('{trafficDistribution: PreferSameNode}')).problems[0]).toContain('it means PreferClose');
  });

  it('leaves out ports that are not TCP, with a warning', () => {
    const { objects, problems } = normalizeText(service('{ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}'));
    expect(objects[0]).toMatchObject({ ports: [{ number: 53 }] });
    expect(problems).toEqual(['warning: 4:27 Service default/x: spec.ports[0].protocol: UDP is not carried by the mesh: the port is left out']);
  });

  it.each([
    ['grpc', undefined, 1, 'grpc'], ['http2-x', undefined, 1, 'http2'], ['grpc-web', undefined, 1, 'http'], ['https-x', undefined, 1, 'https'], ['tcp-x', undefined, 1, 'tcp'], ['mongo', undefined, 1, 'tcp'],
    ['grpc', 'http', 1, 'http'], ['x', 'kubernetes.io/h2c', 1, 'http2'], ['http', 'unknown', 1, 'http'],
    ['', undefined, 8080, 'http'], ['web', undefined, 443, 'https'], ['constructor', undefined, 1, 'http'],
  ] as const)('port %s with appProtocol %s and number %i is %s', (name, appProtocol, number, expected) => {
    expect(portProtocol(appProtocol, name, number)).toBe(expected);
  });

  it.each([
    ['{ports: [{name: a}]}', 'spec.ports[0].port: is required'],
    ['{ports: [{port: 0}]}', 'spec.ports[0].port: must be between 1 and 65535, not 0'],
    ['{ports: [{port: 1}, {port: 1}]}', 'spec.ports[1].port: the port 1 exists already'],
    ['{type: ExternalName}', 'spec.externalName: is required'],
    ['{selector: {a: 1}}', 'spec.selector.a: must be a string, not 1 (a number)'],
  ])('is refused for %s', (spec, expected) => expect(normalizeText(service(spec)).problems[0]).toContain(expected));
});

describe('EndpointSlice', () => {
  const slice = (rest: string, labels = 'labels: {kubernetes.io/service-name: a}') => `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a-1, ${labels}}\n${rest}`;

  it('gives addresses, readiness (unknown is ready), Pods and ports', () => {
    expect(only('endpoint-group', slice(`addressType: IPv4\nports: [{name: http, port: 8080}, {name: dns, port: 53, protocol: UDP}]
endpoints: [{addresses: [10.0.0.1], zone: z, targetRef: {kind: Pod, name: p}}, {addresses: [10.0.0.2], conditions: {ready: false}}]`))).toMatchObject({
      service: 'a', ports: { http: 8080 },
      endpoints: [{ addresses: ['10.0.0.1'], ready: true, zone: 'z', pod: 'default/p' }, { addresses: ['10.0.0.2'], ready: false, zone: '' }],
    });
  });

  it('of no Service or by name is left out with a warning', () => {
    for (const text of [slice('addressType: IPv4', 'labels: {}'), slice('addressType: FQDN')]) {
      const { objects, problems, errors } = normalizeText(text);
      expect([objects, problems.length, errors]).toEqual([[], 1, 0]);
    }
  });
});

describe('Pod', () => {
  const pod = (rest: string, labels = '{app: a}') => `apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: ${labels}}\n${rest}`;

  it('gives address, labels, account, named ports and readiness', () => {
    expect(only('workload', pod('spec: {serviceAccountName: sa, containers: [{ports: [{name: web, containerPort: 81}, {containerPort: 82}]}]}\nstatus: {podIP: 10.0.0.1, conditions: [{type: Ready, status: "True"}]}', '{app: a, istio-locality: r.z.s}'))).toMatchObject({
      address: '10.0.0.1', serviceAccount: 'sa', ports: { web: 81 }, health: 'healthy', via: 'pod', locality: { region: 'r', zone: 'z', subZone: 's' },
    });
    expect(only('workload', pod('status: {podIP: 10.0.0.1, conditions: [{type: Ready, status: "False"}]}'))).toMatchObject({ health: 'unhealthy', serviceAccount: 'default' });
  });

  it('without address or finished is nothing, and outside the mesh has no identity', () => {
    expect(normalizeText(pod('status: {}')).objects).toEqual([]);
    expect(normalizeText(pod('status: {podIP: 10.0.0.1, phase: Succeeded}')).objects).toEqual([]);
    expect(only('workload', pod('status: {podIP: 10.0.0.1}', '{security.istio.io/tlsMode: disabled}'))).not.toHaveProperty('serviceAccount');
  });
});

it('Namespace has labels, ServiceAccount is known and has no meaning of its own', () => {
  expect(only('namespace', 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {a: b}}\n')).toMatchObject({ key: 'Namespace//shop', namespace: 'shop', labels: { a: 'b' } });
  expect(normalizeText('apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: sa}\n')).toEqual({ objects: [], problems: [], errors: 0 });
});
