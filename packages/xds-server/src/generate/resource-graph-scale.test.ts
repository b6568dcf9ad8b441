import { describe, expect, it } from 'vitest';
import { MeshModel } from '../model/mesh-model.js';
import type { ModelObject } from '../model/model-object.js';
import { noLocality } from '../model/workload.js';
import type { NodeFacets } from './generator.js';
import { weftProfile } from './profile/weft.js';
import { ResourceGraph } from './resource-graph.js';

const base = (namespace: string, name: string) => ({ key: `${namespace}/${name}`, namespace, name, origin: `${namespace}/${name}`, createdAt: 0 });

function service(name: string): ModelObject {
  return {
    ...base('default', name), type: 'service', host: `${name}.default.svc.cluster.local`, cluster: true, ports: [{ number: 80, name: 'http', protocol: 'http', targetPort: 80 }], addresses: [],
    exportTo: ['*'], location: 'internal', resolution: 'selector', selector: { app: name }, endpoints: [], subjectAltNames: [],
  };
}

function workload(app: string, address: string, serviceAccount = app): ModelObject {
  return { ...base('default', `${app}-1`), type: 'workload', address, ports: {}, labels: { app }, serviceAccount, locality: noLocality, health: 'healthy', via: 'entry' };
}

function meshOf(size: number): MeshModel {
  const model = new MeshModel();
  model.batch(() => {
    for (let i = 0; i < size; i++) model.replace(`s${i}`, [service(`s${i}`), workload(`s${i}`, '10.0.0.1')]);
  });
  return model;
}

/** 50 clients that dial s7, and each one other service. */
function clientsOf(graph: ResourceGraph, namespaces = 1) {
  const told = new Map<string, number>();
  for (let i = 0; i < 50; i++) {
    const node: NodeFacets = { namespace: `ns${i % namespaces}`, workload: '', serviceAccount: 'default', labels: { pod: `p${i}` }, locality: noLocality, addresses: [], hasIdentity: true, portOffset: 0, userAgent: 'weft', id: `n${i}` };
    for (const name of ['s7', `s${100 + i}`]) {
      const host = `${name}.default.svc.cluster.local`;
      const names = { listener: `${name}.default:80`, route: `outbound|80||${host}`, cluster: `outbound|80||${host}`, endpoint: `outbound|80||${host}` } as const;
      for (const type of ['listener', 'route', 'cluster', 'endpoint'] as const) {
        const subscription = graph.subscribe(weftProfile, node, type, names[type], () => told.set(`${type} ${name}`, (told.get(`${type} ${name}`) ?? 0) + 1));
        expect(subscription.current(), `${type} ${names[type]}`).toBeDefined();
      }
    }
  }
  return told;
}

describe.each([1000, 10_000])('a mesh of %i services', (size) => {
  it('pays for a changed endpoint with one generated resource, told to its subscribers', () => {
    const model = meshOf(size);
    const graph = new ResourceGraph({ model });
    const told = clientsOf(graph);
    const before = graph.stats;
    model.replace('s7', [service('s7'), workload('s7', '10.0.0.2')]);
    graph.flush();
    expect(graph.stats.generatorRuns - before.generatorRuns).toBe(1);
    expect([...told]).toEqual([['endpoint s7', 50]]);
  });

  it('pays once for each namespace where policy may differ by namespace', () => {
    const model = meshOf(size);
    const graph = new ResourceGraph({ model });
    const told = clientsOf(graph, 5);
    const before = graph.stats;
    model.replace('s7', [service('s7'), workload('s7', '10.0.0.2')]);
    graph.flush();
    expect(graph.stats.generatorRuns - before.generatorRuns).toBe(5);
    expect([...told]).toEqual([['endpoint s7', 50]]);
  });

  it('pays nothing for what nobody dials, and for new services', () => {
    const model = meshOf(size);
    const graph = new ResourceGraph({ model });
    const told = clientsOf(graph);
    const before = graph.stats;
    model.replace('s8', [service('s8'), workload('s8', '10.0.0.2')]);
    model.replace('new', [service('new'), workload('new', '10.0.0.3')]);
    graph.flush();
    expect(graph.stats).toEqual(before);
    expect(told.size).toBe(0);
  });

  it('generates cluster and endpoints anew, and nothing else, when the account behind a service changes', () => {
    const model = meshOf(size);
    const graph = new ResourceGraph({ model });
    const told = clientsOf(graph);
    const before = graph.stats;
    model.replace('s7', [service('s7'), workload('s7', '10.0.0.1', 'other')]);
    graph.flush();
    expect(graph.stats.generatorRuns - before.generatorRuns).toBe(2);
    expect(new Map(told)).toEqual(new Map([['cluster s7', 50], ['endpoint s7', 50]]));
  });
});
