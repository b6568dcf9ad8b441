import { describe, expect, it } from 'vitest';
import { service, slice, workload } from './fixture.js';
import { MeshModel } from './mesh-model.js';
import type { ModelObject } from './model-object.js';
import type { ServicePort } from './service.js';

function modelOf(...objects: ModelObject[]): MeshModel {
  const model = new MeshModel();
  for (const object of objects) model.replace(object.key, [object]);
  return model;
}

/** `ADDRESS:PORT` of the first port's endpoints. */
function endpoints(...objects: ModelObject[]): string[] {
  const reader = modelOf(...objects).reader(() => {});
  const found = reader.service('payments.default.svc.cluster.local')!;
  return reader.endpoints(found, found.ports[0]!).map((endpoint) => `${endpoint.address}:${endpoint.port}`);
}

const labels = { app: 'payments' };
const withPort = (port: Partial<ServicePort>) => service('payments', { ports: [{ number: 80, name: 'http', protocol: 'http', targetPort: 8080, ...port }] });

describe('the port of an endpoint', () => {
  it('of a WorkloadEntry: its port map by port name, then targetPort, then the service port', () => {
    const entry = (ports: Record<string, number>) => workload('w', '10.0.0.1', { labels, ports });
    expect(endpoints(withPort({}), entry({ http: 9999 }))).toEqual(['10.0.0.1:9999']);
    expect(endpoints(withPort({}), entry({}))).toEqual(['10.0.0.1:8080']);
    expect(endpoints(withPort({ targetPort: 'web' }), entry({ web: 7000 }))).toEqual(['10.0.0.1:7000']);
    expect(endpoints(withPort({ targetPort: 'web' }), entry({}))).toEqual(['10.0.0.1:80']);
  });

  it('of a Pod: targetPort by number, or by the name of a container port', () => {
    const pod = workload('p', '10.0.0.1', { via: 'pod', labels, ports: { http: 9999, web: 7000 } });
    expect(endpoints(withPort({}), pod)).toEqual(['10.0.0.1:8080']);
    expect(endpoints(withPort({ targetPort: 'web' }), pod)).toEqual(['10.0.0.1:7000']);
    expect(endpoints(withPort({ targetPort: 'none' }), pod)).toEqual([]);
  });

  it('of a registration: only what it is bound to, by port name, else by the declared number', () => {
    const registration = (boundPorts: Record<string, number>, ports: Record<string, number> = {}) =>
      workload('r', '10.0.0.1', { via: 'registration', labels, ports, boundPorts });
    expect(endpoints(withPort({}), registration({ http: 45001 }))).toEqual(['10.0.0.1:45001']);
    expect(endpoints(withPort({}), registration({ web: 45001 }, { web: 8080 }))).toEqual(['10.0.0.1:45001']);
    expect(endpoints(withPort({}), registration({ web: 8080 }))).toEqual(['10.0.0.1:8080']);
    expect(endpoints(withPort({}), registration({ web: 8080 }, { web: 9000 }))).toEqual([]);
    expect(endpoints(withPort({ targetPort: 'web' }), registration({ web: 45001 }))).toEqual(['10.0.0.1:45001']);
    expect(endpoints(withPort({}), registration({ admin: 45001 }, { admin: 9000, http: 8080 }))).toEqual([]);
  });
});

describe('the endpoints of a Kubernetes Service', () => {
  const pod = (name: string, address: string, more = {}) => workload(name, address, { via: 'pod', labels, serviceAccount: name, ...more });
  const point = (name: string, address: string, ready = true) => ({ addresses: [address], ready, pod: `default/${name}`, zone: 'z1' });

  it('are its Pods and registrations where it has no slices, without Pods that are not ready', () => {
    const registration = workload('r', '10.0.0.9', { via: 'registration', labels, boundPorts: { http: 45001 } });
    expect(endpoints(withPort({}), pod('a', '10.0.0.1'), pod('b', '10.0.0.2', { health: 'unhealthy' }), registration)).toEqual(['10.0.0.1:8080', '10.0.0.9:45001']);
  });

  it('are the ready ones of its slices, with labels and account of the Pod; registrations still count', () => {
    const objects = [
      withPort({}), pod('a', '10.0.0.1'), pod('b', '10.0.0.2'), pod('stray', '10.0.0.3'),
      workload('r', '10.0.0.9', { via: 'registration', labels, boundPorts: { http: 45001 } }),
      slice('s', 'payments', { ports: { http: 8081 }, endpoints: [point('a', '10.0.0.1'), point('b', '10.0.0.2', false), { addresses: ['10.0.0.4'], ready: true, zone: '' }] }),
    ];
    expect(endpoints(...objects)).toEqual(['10.0.0.1:8081', '10.0.0.4:8081', '10.0.0.9:45001']);
    const reader = modelOf(...objects).reader(() => {});
    const found = reader.service('payments.default.svc.cluster.local')!;
    const [first, second] = reader.endpoints(found, found.ports[0]!);
    expect(first?.workload).toMatchObject({ name: 'a', serviceAccount: 'a', labels, locality: { zone: 'z1' } });
    expect(second?.workload).toMatchObject({ labels: {} });
    expect(second?.workload).not.toHaveProperty('serviceAccount');
    // The account of the Pod that is not ready stays: the set must not flap with readiness.
    expect(reader.serviceAccounts(found)).toEqual(['default/a', 'default/b']);
    expect(reader.servicesOf(pod('stray', '10.0.0.3'))).toEqual([]);
    expect(reader.servicesOf(pod('b', '10.0.0.2')).map((each) => each.name)).toEqual(['payments']);
  });

  it('counts a dual-stack Pod once, and one in several slices with all their ports', () => {
    const v6 = slice('s-v6', 'payments', { endpoints: [point('a', '2001:db8::1')] });
    const v4 = slice('s-v4', 'payments', { endpoints: [point('a', '10.0.0.1')] });
    const grpc = slice('s-v4-grpc', 'payments', { ports: { grpc: 9000 }, endpoints: [point('a', '10.0.0.1')] });
    expect(endpoints(withPort({}), pod('a', '10.0.0.1'), v4, v6, grpc)).toEqual(['10.0.0.1:8080']);
    expect(endpoints(withPort({ name: 'grpc' }), pod('a', '10.0.0.1'), v4, v6, grpc)).toEqual(['10.0.0.1:9000']);
  });

  it('are not those of another namespace or of no selector', () => {
    expect(endpoints(withPort({}), workload('w', '10.0.0.1', { namespace: 'other', labels }))).toEqual([]);
    expect(endpoints(service('payments', { selector: {} }), workload('w', '10.0.0.1', { labels }))).toEqual([]);
  });

  it('count one socket once and come in a stable order', () => {
    const entries = [workload('b', '10.0.0.2', { labels }), workload('a', '10.0.0.1', { labels }), workload('again', '10.0.0.1', { labels })];
    expect(endpoints(withPort({}), ...entries)).toEqual(['10.0.0.1:8080', '10.0.0.2:8080']);
    expect(endpoints(withPort({}), ...entries.toReversed())).toEqual(['10.0.0.1:8080', '10.0.0.2:8080']);
  });
});

it('endpoints written inside a service are its endpoints, and lead back to it', () => {
  const inline = workload('x', 'a.example.com', { via: 'inline', ports: { http: 81 } });
  const reader = modelOf(service('payments', { resolution: 'dns', selector: {}, endpoints: [inline] })).reader(() => {});
  const found = reader.resolve('payments', 'default')!;
  expect(reader.endpoints(found, found.ports[0]!)).toEqual([{ workload: inline, address: 'a.example.com', port: 81 }]);
  expect(reader.servicesOf(inline)).toEqual([found]);
});
