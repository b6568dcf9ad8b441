import { describe, expect, it } from 'vitest';
import type { ChangeSet } from './change-set.js';
import { authorization, peerPolicy, routeRule, service, slice, trafficPolicy, workload } from './fixture.js';
import { MeshModel } from './mesh-model.js';
import type { ModelObject } from './model-object.js';

const host = 'payments.default.svc.cluster.local';

function modelOf(...objects: ModelObject[]): MeshModel {
  const model = new MeshModel();
  for (const object of objects) model.replace(object.key, [object]);
  return model;
}

function changedBy(model: MeshModel, run: () => void): string[] {
  const sets: ChangeSet[] = [];
  const stop = model.onChange((change) => sets.push(change));
  run();
  stop();
  return sets.flatMap((set) => [...set.dependencies]).sort();
}

const put = (model: MeshModel, object: ModelObject) => () => model.replace(object.key, [object]);

const entry = (name: string, address: string, more = {}) =>
  workload(name, address, { labels: { app: 'payments' }, serviceAccount: 'payments', ...more });

describe('what a change touches', () => {
  it('is the endpoints of one service for one endpoint, and not the accounts', () => {
    const model = modelOf(service('payments'), service('orders'), entry('a', '10.0.0.1'));
    expect(changedBy(model, put(model, entry('b', '10.0.0.2')))).toEqual([
      `endpoints/${host}`, 'services-of/WorkloadEntry/default/b', 'workload/default/10.0.0.2',
    ]);
    expect(changedBy(model, put(model, entry('b', '10.0.0.2', { health: 'unhealthy' })))).toEqual([`endpoints/${host}`, 'workload/default/10.0.0.2']);
  });

  it('includes the accounts when their set changed', () => {
    const model = modelOf(service('payments'), entry('a', '10.0.0.1'));
    const changed = changedBy(model, put(model, entry('b', '10.0.0.2', { serviceAccount: 'other' })));
    expect(changed).toContain(`accounts/${host}`);
    expect(changedBy(model, () => model.replace('WorkloadEntry/default/b', []))).toContain(`accounts/${host}`);
  });

  it('is only the hosts of a route rule, before and after', () => {
    const model = modelOf(routeRule('r', ['a.example.com', 'b.example.com']));
    expect(changedBy(model, put(model, routeRule('r', ['b.example.com', 'c.example.com'])))).toEqual([
      // The first is for clients that want the whole mesh.
      'route-hosts', 'route/a.example.com', 'route/b.example.com', 'route/c.example.com',
    ]);
  });

  it('is only the host of a traffic policy, and what a wildcard may cover', () => {
    const model = modelOf(service('payments'), service('api', { host: 'api.example.com', cluster: false }));
    const read = (of: string) => {
      const recorded = new Set<string>();
      const reader = model.reader((place) => recorded.add(place));
      reader.trafficPolicy(reader.service(of)!, 'default', {});
      return recorded;
    };
    const [wild] = changedBy(model, put(model, trafficPolicy('w', '*.example.com')));
    expect(read('api.example.com')).toContain(wild);
    expect(read(host)).not.toContain(wild);
  });

  it('is only workloads that may be selected, for policies with a selector', () => {
    const model = modelOf();
    const read = (app: string) => {
      const recorded = new Set<string>();
      const reader = model.reader((place) => recorded.add(place));
      reader.mtlsMode({ namespace: 'default', labels: { app } });
      reader.authorizations({ namespace: 'default', labels: { app } });
      return recorded;
    };
    for (const policy of [peerPolicy('p', { selector: { app: 'a' }, mode: 'strict' }), authorization('z', { selector: { app: 'a' } })]) {
      const [place] = changedBy(model, put(model, policy));
      model.replace(policy.key, []);
      expect(read('a')).toContain(place);
      expect(read('b')).not.toContain(place);
    }
  });

  it('is nothing for equal objects, and one set for a batch', () => {
    const model = modelOf(service('payments'));
    expect(changedBy(model, put(model, service('payments')))).toEqual([]);
    const before = model.revision;
    const sets: ChangeSet[] = [];
    model.onChange((change) => sets.push(change));
    model.batch(() => {
      put(model, entry('a', '10.0.0.1'))();
      put(model, entry('b', '10.0.0.2'))();
    });
    expect(sets).toHaveLength(1);
    expect(sets[0]!.revision).toBe(before + 1);
  });

  it('is published even when a batch throws, since its changes are in', () => {
    const model = modelOf(service('payments'));
    const changed = changedBy(model, () =>
      expect(() =>
        model.batch(() => {
          put(model, entry('a', '10.0.0.1'))();
          throw new Error('stop');
        }),
      ).toThrow('stop'),
    );
    expect(changed).toContain(`endpoints/${host}`);
  });

  it('names only Pods that joined or left an EndpointSlice', () => {
    const pod = (name: string, address: string) => workload(name, address, { via: 'pod', labels: { app: 'payments' } });
    const point = (name: string, address: string, ready = true) => ({ addresses: [address], ready, pod: `default/${name}`, zone: '' });
    const model = modelOf(service('payments'), pod('a', '10.0.0.1'), pod('b', '10.0.0.2'), slice('s', 'payments', { endpoints: [point('a', '10.0.0.1')] }));
    const more = slice('s', 'payments', { endpoints: [point('a', '10.0.0.1'), point('b', '10.0.0.2')] });
    expect(changedBy(model, put(model, more))).toEqual([`endpoints/${host}`, 'services-of/pod/default/b']);
    const notReady = slice('s', 'payments', { endpoints: [point('a', '10.0.0.1'), point('b', '10.0.0.2', false)] });
    expect(changedBy(model, put(model, notReady))).toEqual([`endpoints/${host}`]);
  });
});

describe('the cost of a workload change', () => {
  it.each([10, 10_000])('does not depend on the number of services (%i)', (count) => {
    const model = new MeshModel();
    model.batch(() => {
      for (let at = 0; at < count; at++) {
        const name = `service-${at}`;
        model.replace(name, [service(name, { selector: { tier: 'backend', app: name } })]);
      }
    });
    const { selectors, labels } = model.indexes.endpoints;
    const before = selectors.counter.candidates + labels.counter.candidates;
    model.replace('w', [workload('w', '10.0.0.1', { labels: { app: 'service-7', tier: 'backend', version: 'v1' } })]);
    model.replace('w', [workload('w', '10.0.0.1', { labels: { app: 'service-7', tier: 'backend', version: 'v2' } })]);
    model.replace('w', []);
    // Every change looks at the one service that may match (a few times), and at the first, which fell into the common bucket.
    expect(selectors.counter.candidates + labels.counter.candidates - before).toBeLessThanOrEqual(16);
  });
});

it('refuses an object that belongs to another owner, and changes nothing', () => {
  const model = modelOf(service('payments'));
  expect(() => model.replace('other', [service('payments')])).toThrow('already belongs to');
  expect(model.reader(() => {}).service(host)).toBeDefined();
});
