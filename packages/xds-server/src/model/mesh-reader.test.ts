// What the reader answers: contracts.md 3 and 5 (its [V] facts were tried against istiod).
import { describe, expect, it } from 'vitest';
import { authorization, peerPolicy, routeRule, service, trafficPolicy, workload, workloadGroup } from './fixture.js';
import type { MeshReader } from './mesh-reader.js';
import { MeshModel } from './mesh-model.js';
import type { ModelObject } from './model-object.js';
import type { TrafficPolicy } from './traffic-policy.js';

function readerOf(...objects: ModelObject[]): MeshReader {
  const model = new MeshModel();
  for (const object of objects) model.replace(`${object.type} ${object.key}`, [object]);
  return model.reader(() => {});
}

const payments = service('payments');

describe('dialled names', () => {
  const reader = readerOf(
    service('payments', { addresses: ['10.96.0.1', '2001:db8::1'] }),
    service('billing', { namespace: 'finance', exportTo: ['finance'] }),
    service('api', { host: 'api.example.com', cluster: false }),
    service('wild', { host: '*.example.com', cluster: false }),
    service('deep', { host: '*.eu.example.com', cluster: false }),
  );

  it.each(['payments', 'payments.default', 'payments.default.svc', 'payments.default.svc.cluster.local', 'Payments.default.SVC.', '10.96.0.1', '2001:db8::1', '[2001:db8::1]'])(
    '%s means the service in its own namespace',
    (name) => expect(reader.resolve(name, 'default')?.name).toBe('payments'),
  );

  it('means a service of another namespace only when that is said', () => {
    expect(reader.resolve('payments', 'finance')).toBeUndefined();
    expect(reader.resolve('payments.default', 'finance')?.name).toBe('payments');
  });

  it('respects exportTo', () => {
    expect(reader.resolve('billing', 'finance')?.name).toBe('billing');
    expect(reader.resolve('billing.finance', 'default')).toBeUndefined();
    expect(reader.servicesVisibleFrom('default').map((found) => found.name)).not.toContain('billing');
    expect(reader.service('billing.finance.svc.cluster.local')?.name).toBe('billing');
  });

  it('falls under the most specific wildcard host, an exact one first', () => {
    expect(reader.resolve('api.example.com', 'default')?.name).toBe('api');
    expect(reader.resolve('x.example.com', 'default')?.name).toBe('wild');
    expect(reader.resolve('x.eu.example.com', 'default')?.name).toBe('deep');
    expect(reader.resolve('example.com', 'default')).toBeUndefined();
  });

  it('prefers the client namespace where two declare one external host, and the cluster where one claims its host', () => {
    const one = service('one', { namespace: 'a', host: 'api.test', cluster: false, exportTo: ['a'] });
    const two = service('two', { namespace: 'b', host: 'api.test', cluster: false, exportTo: ['*'] });
    const thief = service('thief', { namespace: 'evil', host: payments.host, cluster: false });
    const late = service('payments', { createdAt: 5 });
    const both = readerOf(one, two, thief, late);
    expect(both.resolve('api.test', 'a')?.name).toBe('one');
    expect(both.resolve('api.test', 'b')?.name).toBe('two');
    expect(both.resolve('api.test', 'c')?.name).toBe('two');
    expect(both.resolve('payments', 'default')?.name).toBe('payments');
  });
});

describe('routes', () => {
  it('are those of the first rule by age, then name, then namespace, of any namespace that exports [V]', () => {
    const reader = readerOf(
      routeRule('z', [payments.host], { createdAt: 1 }),
      routeRule('b', [payments.host], { createdAt: 2 }),
      routeRule('a', [payments.host], { namespace: 'other', createdAt: 1, exportTo: ['other'] }),
      routeRule('late', [payments.host], { namespace: 'other', createdAt: 0, exportTo: ['third'] }),
    );
    expect(reader.routeRule(payments.host, 'default')?.name).toBe('z');
    expect(reader.routeRule(payments.host, 'other')?.name).toBe('a');
    expect(reader.routeRule(payments.host, 'third')?.name).toBe('late');
  });

  it('come from the most specific host that any rule names', () => {
    const reader = readerOf(routeRule('wild', ['*.example.com']), routeRule('exact', ['a.example.com'], { createdAt: 9 }), routeRule('all', ['*']));
    expect(reader.routeRule('a.example.com', 'default')?.name).toBe('exact');
    expect(reader.routeRule('b.example.com', 'default')?.name).toBe('wild');
    expect(reader.routeRule('b.test', 'default')?.name).toBe('all');
  });
});

describe('traffic policies', () => {
  const of = (maxConnections: number): TrafficPolicy => ({ connectionPool: { maxConnections }, ports: [] });
  const subset = (name: string, version: string) => ({ name, labels: { version }, policy: { ports: [] } });

  it('are the client namespace, then the service namespace, then the root, wholly, subsets too [V]', () => {
    const own = trafficPolicy('own', payments.host, { namespace: 'client', policy: of(1) });
    const theirs = trafficPolicy('theirs', payments.host, { policy: of(2), subsets: [subset('v1', '1')] });
    const root = trafficPolicy('root', '*.svc.cluster.local', { namespace: 'istio-system', policy: of(3) });
    const reader = readerOf(payments, own, theirs, root);
    expect(reader.trafficPolicy(payments, 'client', {})).toEqual(own);
    expect(reader.trafficPolicy(payments, 'another', {})).toEqual(theirs);
    expect(readerOf(payments, root).trafficPolicy(payments, 'another', {})).toEqual(root);
    expect(readerOf(payments).trafficPolicy(payments, 'another', {})).toBeUndefined();
  });

  it('merge in one namespace: the first gives policy and duplicate subsets, further subsets are added [V]', () => {
    const reader = readerOf(
      payments,
      trafficPolicy('a', payments.host, { policy: of(1), subsets: [subset('v1', '1')] }),
      trafficPolicy('b', payments.host, { policy: of(2), subsets: [subset('v1', 'other'), subset('v2', '2')] }),
    );
    const found = reader.trafficPolicy(payments, 'default', {});
    expect(found?.policy).toEqual(of(1));
    expect(found?.subsets).toEqual([subset('v1', '1'), subset('v2', '2')]);
  });

  it('with a workloadSelector are for matching clients of their namespace, instead of the general one', () => {
    const general = trafficPolicy('a', payments.host, { policy: of(1) });
    const special = trafficPolicy('b', payments.host, { policy: of(2), workloadSelector: { app: 'orders' } });
    const reader = readerOf(payments, general, special);
    expect(reader.trafficPolicy(payments, 'default', { app: 'orders' })).toEqual(special);
    expect(reader.trafficPolicy(payments, 'default', { app: 'web' })).toEqual(general);
    expect(reader.trafficPolicy(payments, 'other', { app: 'orders' })).toEqual(general);
  });

  it('count only where exported, and the most specific host wins', () => {
    const exact = trafficPolicy('a', payments.host, { policy: of(1), exportTo: ['default'] });
    const wild = trafficPolicy('b', '*.default.svc.cluster.local', { policy: of(2) });
    const reader = readerOf(payments, exact, wild);
    expect(reader.trafficPolicy(payments, 'default', {})).toEqual(exact);
    expect(reader.trafficPolicy(payments, 'other', {})).toEqual(wild);
  });
});

describe('mTLS mode', () => {
  const where = (app: string) => ({ namespace: 'default', labels: { app } });

  it('is permissive by default, then mesh, namespace, workload [V]', () => {
    const mesh = peerPolicy('default', { namespace: 'istio-system', mode: 'strict' });
    const namespace = peerPolicy('default', { mode: 'disable' });
    const own = peerPolicy('own', { selector: { app: 'a' }, mode: 'permissive' });
    expect(readerOf().mtlsMode(where('a'))).toBe('permissive');
    expect(readerOf(mesh).mtlsMode(where('a'))).toBe('strict');
    expect(readerOf(mesh, namespace).mtlsMode(where('a'))).toBe('disable');
    const all = readerOf(mesh, namespace, own);
    expect([all.mtlsMode(where('a')), all.mtlsMode(where('b')), all.mtlsMode({ namespace: 'istio-system', labels: {} })]).toEqual(['permissive', 'disable', 'strict']);
  });

  it('inherits where unset, and only the oldest of a level counts [V]', () => {
    const reader = readerOf(
      peerPolicy('a', { namespace: 'istio-system', mode: 'strict' }),
      peerPolicy('unset'),
      peerPolicy('younger', { mode: 'disable', createdAt: 1 }),
      peerPolicy('w1', { selector: { app: 'a' }, ports: { 9090: 'disable', 9091: undefined } }),
      peerPolicy('w2', { selector: { app: 'a' }, mode: 'disable', createdAt: 1 }),
    );
    expect(reader.mtlsMode(where('a'))).toBe('strict');
  });

  it('of a port beats the workload, by workload port; an unset port inherits [V]', () => {
    const reader = readerOf(peerPolicy('w', { selector: { app: 'a' }, mode: 'strict', ports: { 9090: 'disable', 9091: undefined } }));
    expect([reader.mtlsMode(where('a'), 9090), reader.mtlsMode(where('a'), 9091), reader.mtlsMode(where('a'), 80), reader.mtlsMode(where('a'))]).toEqual(['disable', 'strict', 'strict', 'strict']);
  });

  it('takes no notice of selectors in the root namespace', () => {
    expect(readerOf(peerPolicy('w', { namespace: 'istio-system', selector: { app: 'a' }, mode: 'strict' })).mtlsMode(where('a'))).toBe('permissive');
  });
});

it('authorizations are the namespace and the root namespace ones that select the workload, by age', () => {
  const reader = readerOf(
    authorization('all', { createdAt: 3 }),
    authorization('mine', { selector: { app: 'a' }, createdAt: 2 }),
    authorization('other', { selector: { app: 'b' } }),
    authorization('root', { namespace: 'istio-system', selector: { app: 'a' }, createdAt: 1 }),
    authorization('mesh', { namespace: 'istio-system', createdAt: 4 }),
    authorization('elsewhere', { namespace: 'finance' }),
  );
  expect(reader.authorizations({ namespace: 'default', labels: { app: 'a' } }).map((found) => found.name)).toEqual(['root', 'mine', 'all', 'mesh']);
});

it('groups, workloads of an address and services of a workload are found', () => {
  const one = workload('one', '10.0.0.1', { labels: { app: 'payments' } });
  const far = workload('far', '10.0.0.1', { namespace: 'finance' });
  const reader = readerOf(payments, service('orders'), one, far, workloadGroup('payments'));
  expect(reader.workloadGroup('default', 'payments')?.serviceAccount).toBe('payments');
  expect(reader.workloadsByAddress('default', '10.0.0.1')).toEqual([one]);
  expect(reader.servicesOf(one)).toEqual([payments]);
  expect(reader.servicesOf(workload('unknown', '10.0.0.9', { labels: { app: 'orders' } })).map((found) => found.name)).toEqual(['orders']);
});
