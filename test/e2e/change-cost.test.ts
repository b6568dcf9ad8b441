// What one change costs: as much as it has subscribers, however large the mesh is.
import { describe, expect, it } from 'vitest';
import { profiles, ResourceGraph } from '@weft/xds-server';
import { largeMesh, node, serviceEntry } from '../support/large-mesh.js';

const subscribers = 50;

function costOfOneEndpoint(services: number) {
  const { model, pipeline } = largeMesh(services);
  const graph = new ResourceGraph({ model });
  const told: string[] = [];
  for (let client = 0; client < subscribers; client += 1) {
    // Everybody follows the service that changes, and one that does not, through all that leads to it.
    for (const service of [0, 1 + client]) {
      const cluster = `outbound|80||svc-${service}.test`;
      graph.subscribe(profiles.weft, node(`client-${client}`), 'listener', `svc-${service}.test:80`, () => told.push(`listener ${service}`));
      for (const type of ['route', 'cluster', 'endpoint'] as const) graph.subscribe(profiles.weft, node(`client-${client}`), type, cluster, () => told.push(`${type} ${service}`));
    }
  }
  graph.flush();
  told.length = 0;
  const before = { ...graph.stats };
  pipeline.replace('service-0', [serviceEntry(0, 3)], []);
  graph.flush();
  const cost = { generatorRuns: graph.stats.generatorRuns - before.generatorRuns, notifications: graph.stats.notifications - before.notifications };
  graph.close();
  return { cost, told };
}

describe('one endpoint changed', () => {
  it('in a mesh of 1000 services regenerates one resource and tells its subscribers only', () => {
    const { cost, told } = costOfOneEndpoint(1000);
    expect(cost).toEqual({ generatorRuns: 1, notifications: subscribers });
    expect(told).toEqual(Array.from({ length: subscribers }, () => 'endpoint 0'));
  });

  it('in a mesh of 10 000 services does exactly the same work', () => {
    expect(costOfOneEndpoint(10_000)).toEqual(costOfOneEndpoint(1000));
    // Most of it is making the mesh.
  }, 120_000);
});
