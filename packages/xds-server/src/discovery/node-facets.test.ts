import { create, type MessageInitShape } from '@weft/xds-api/protobuf';
import { NodeSchema } from '@weft/xds-api/core';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { ResourceGraph } from '../generate/resource-graph.js';
import { MeshModel } from '../model/mesh-model.js';
import type { Workload, WorkloadGroup } from '../model/workload.js';
import { readNode } from './client-node.js';
import type { CallerIdentity } from './node-auth.js';
import { nodeTemplate } from './node-facets.js';

const read = (init: MessageInitShape<typeof NodeSchema>) => readNode(create(NodeSchema, init));
const locality = { region: 'r', zone: 'z', subZone: '' };
const base = (name: string) => ({ key: `shop/${name}`, namespace: 'shop', name, origin: name, createdAt: 0, locality, ports: {} });
const group = (name: string, serviceAccount: string): WorkloadGroup => ({ ...base(name), type: 'workload-group', labels: { from: name }, serviceAccount, network: '' });
const workload = (name: string, serviceAccount: string, via: Workload['via'] = 'entry'): Workload => ({ ...base(name), type: 'workload', labels: { from: name }, serviceAccount, address: '10.0.0.1', health: 'healthy', via });
const caller = (serviceAccount: string): CallerIdentity => ({ spiffeId: `spiffe://cluster.local/ns/shop/sa/${serviceAccount}`, trustDomain: 'cluster.local', namespace: 'shop', serviceAccount, notAfter: 0, certificate: { serialNumber: '01', issuer: 'CN=test' } });

let model: MeshModel;
let graph: ResourceGraph;
beforeEach(() => {
  model = new MeshModel();
  graph = new ResourceGraph({ model });
});

function facets(metadata: Record<string, string | number>, identity?: CallerIdentity, init: MessageInitShape<typeof NodeSchema> = {}) {
  return nodeTemplate(graph, read({ id: 'x~10.0.0.1~web.shop~shop.svc.cluster.local', userAgentName: 'weft', metadata, ...init } as MessageInitShape<typeof NodeSchema>), identity, () => undefined).facets();
}

describe('what is known about a node', () => {
  it('takes labels, account and locality from its WorkloadGroup, whatever it says itself', () => {
    model.replace('g', [group('web', 'web-sa')]);
    expect(facets({ NAMESPACE: 'shop', AUTO_REGISTER_GROUP: 'web', LABELS: 'admin' }, caller('web-sa'))).toMatchObject({ workload: 'web', serviceAccount: 'web-sa', labels: { from: 'web' }, locality, hasIdentity: true });
  });

  it('takes WORKLOAD_NAME where nothing registers, for the account of that group only', () => {
    model.replace('g', [group('web', 'web-sa')]);
    expect(facets({ WORKLOAD_NAME: 'web' }).labels).toEqual({ from: 'web' });
    expect(facets({ WORKLOAD_NAME: 'web' }, caller('web-sa')).labels).toEqual({ from: 'web' });
    expect(facets({ WORKLOAD_NAME: 'web' }, caller('other'))).toMatchObject({ workload: '', serviceAccount: 'other', labels: {} });
  });

  it('takes the workload at its address that runs as its account, never a registration', () => {
    model.replace('w', [workload('a', 'a-sa'), workload('b', 'b-sa'), workload('c', 'c-sa', 'registration')]);
    expect(facets({}, caller('b-sa')).labels).toEqual({ from: 'b' });
    expect(facets({}, caller('c-sa')).labels).toEqual({});
    expect(facets({ INSTANCE_IPS: '10.0.0.9' }, caller('b-sa')).labels).toEqual({});
  });

  it('falls back to account default, no labels and the locality the node names', () => {
    expect(facets({}, undefined, { locality: { region: 'own', zone: '', subZone: '' } })).toMatchObject({ namespace: 'shop', workload: '', serviceAccount: 'default', labels: {}, locality: { region: 'own' }, hasIdentity: false });
  });

  it('tells when its group appears or changes, not when something else does', () => {
    const onChange = vi.fn();
    const template = nodeTemplate(graph, read({ id: 'x', metadata: { NAMESPACE: 'shop', AUTO_REGISTER_GROUP: 'web' } }), undefined, onChange);
    model.replace('other', [group('other', 'x')]);
    graph.flush();
    expect(onChange).not.toHaveBeenCalled();
    model.replace('g', [group('web', 'web-sa')]);
    graph.flush();
    expect(onChange).toHaveBeenCalledTimes(1);
    template.close();
    model.replace('g', []);
    graph.flush();
    expect(onChange).toHaveBeenCalledTimes(1);
  });
});

describe('reading a node', () => {
  it.each([
    [{ userAgentName: 'weft' }, 'weft'],
    [{ userAgentName: 'gRPC C-core linux' }, 'grpc'],
    [{ userAgentName: 'other', metadata: { GENERATOR: 'grpc' } }, 'grpc'],
    [{ userAgentName: 'envoy' }, 'envoy'],
    [{}, 'envoy'],
  ] as const)('%j is served as %s', (init, profile) => expect(read(init as MessageInitShape<typeof NodeSchema>).profile).toBe(profile));

  it.each([
    [{ metadata: { NAMESPACE: 'a' }, id: 'x~1.2.3.4~n.b~b.svc' }, 'a'],
    [{ id: 'sidecar~1.2.3.4~name.with.dots.b~b.svc.cluster.local' }, 'b'],
    [{ id: 'plain' }, 'default'],
  ])('%j is of namespace %s', (init, namespace) => expect(read(init).namespace).toBe(namespace));

  it('takes addresses only where they are some', () => {
    expect(read({ metadata: { INSTANCE_IPS: '10.0.0.1, fd00::1,nonsense' } }).addresses).toEqual(['10.0.0.1', 'fd00::1']);
    expect(read({ id: 'x~10.0.0.2~n.b~b.svc' }).addresses).toEqual(['10.0.0.2']);
    expect(read({ id: 'x~host~n.b~b.svc' }).addresses).toEqual([]);
  });

  it.each([-70_000, 1e300, 1.5])('takes %s for no port offset', (offset) => expect(facets({ WEFT_PORT_OFFSET: offset }).portOffset).toBe(0));

  it('reads the port offset of Envoy and the certificate providers of gRPC', () => {
    expect(facets({ WEFT_PORT_OFFSET: 1000 }).portOffset).toBe(1000);
    expect(facets({ WEFT_PORT_OFFSET: 'x' }).portOffset).toBe(0);
    expect(facets({ GENERATOR: 'grpc', WEFT_CERT_PROVIDERS: 'default' }, undefined, { userAgentName: 'gRPC' }).hasIdentity).toBe(true);
    expect(facets({ GENERATOR: 'grpc' }, caller('a'), { userAgentName: 'gRPC' }).hasIdentity).toBe(false);
  });
});
