import { FakeClock } from '@weft/spiffe/testing';
import { MemoryStore } from '@weft/store';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ResourceGraph } from '../generate/resource-graph.js';
import { MeshModel } from '../model/mesh-model.js';
import type { Service } from '../model/service.js';
import type { WorkloadGroup } from '../model/workload.js';
import { parseInboundName, reachableAddresses } from './registration-name.js';
import { Registrar, type Registrant, type RegistrarOptions } from './registration.js';

const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
const web: Registrant = { id: 'n1', namespace: 'shop', group: 'web', serviceAccount: 'web-sa', addresses: ['10.0.0.5', 'fd00::5'] };

const group: WorkloadGroup = {
  type: 'workload-group', key: 'shop/web', namespace: 'shop', name: 'web', origin: 'WorkloadGroup shop/web', createdAt: 0,
  labels: { app: 'web' }, serviceAccount: 'web-sa', ports: { http: 8080 }, locality: { region: 'r', zone: 'z', subZone: '' }, network: '',
};
const service: Service = {
  type: 'service', key: 'shop/web', namespace: 'shop', name: 'web', origin: 'Service shop/web', createdAt: 0, host: 'web.shop.svc.cluster.local', cluster: true,
  ports: [{ number: 80, name: 'http', protocol: 'http', targetPort: 8080 }], addresses: [], exportTo: ['*'], location: 'internal', resolution: 'selector',
  selector: { app: 'web' }, endpoints: [], subjectAltNames: [],
};

let clock: FakeClock;
let store: MemoryStore;
let model: MeshModel;
let graph: ResourceGraph;
let registrar: Registrar;

beforeEach(async () => {
  vi.clearAllMocks();
  clock = new FakeClock();
  store = new MemoryStore();
  await restart();
});
afterEach(() => registrar.close());

/** As after a restart of the control plane: the same store, everything else new. */
async function restart(options: Partial<RegistrarOptions> = {}) {
  await registrar?.close();
  model = new MeshModel();
  model.replace('group', [group]);
  model.replace('service', [service]);
  graph = new ResourceGraph({ model });
  registrar = new Registrar({ model, graph, store, clock, logger, ...options });
  await registrar.start();
}

/** Where the service's requests go: address:port, and ! where unhealthy. */
function endpoints(): string[] {
  const reader = model.reader(() => undefined);
  return reader.endpoints(service, service.ports[0]!).map(({ address, port, workload }) => `${address}:${port}${workload.health === 'healthy' ? '' : '!'}`);
}

function stream(registrant: Registrant = web) {
  const key = {};
  registrar.opened(key, registrant);
  return key;
}

describe('registration', () => {
  it('turns a subscription to a bound port into a workload of its group', () => {
    registrar.subscribed(stream(), 'weft/inbound/http/10.0.0.5:41234');
    expect(endpoints()).toEqual(['10.0.0.5:41234']);
    const [workload] = model.reader(() => undefined).workloadsByAddress('shop', '10.0.0.5');
    expect(workload).toMatchObject({
      name: 'web-10.0.0.5-41234', labels: { app: 'web' }, serviceAccount: 'web-sa', locality: { zone: 'z' }, ports: { http: 8080 }, boundPorts: { http: 41234 }, via: 'registration', group: 'shop/web',
    });
  });

  it('withdraws a port at once when it is unsubscribed', () => {
    const key = stream();
    registrar.subscribed(key, 'weft/inbound/http/10.0.0.5:8080');
    registrar.unsubscribed(key, 'weft/inbound/http/10.0.0.5:8080');
    expect([endpoints(), registrar.size]).toEqual([[], 0]);
  });

  it('registers the instance addresses for a wildcard bind', () => {
    registrar.subscribed(stream(), 'weft/inbound/http/[::]:8080');
    expect(endpoints().sort()).toEqual(['10.0.0.5:8080', 'fd00::5:8080']);
    expect(registrar.list().map(({ workload }) => workload)).toEqual(['web-10.0.0.5-8080', 'web-fd00--5-8080']);
  });

  it('keeps the ports of a broken stream for ten seconds', () => {
    const key = stream();
    clock.advance(30_000);
    registrar.subscribed(key, 'weft/inbound/http/10.0.0.5:8080');
    registrar.closed(key);
    clock.advance(9_999);
    expect(endpoints()).toEqual(['10.0.0.5:8080']);
    clock.advance(1);
    expect(endpoints()).toEqual([]);
  });

  it('keeps them for good when the process comes back in time', () => {
    clock.advance(30_000);
    const key = stream();
    registrar.subscribed(key, 'weft/inbound/http/10.0.0.5:8080');
    registrar.closed(key);
    clock.advance(5_000);
    registrar.subscribed(stream(), 'weft/inbound/http/10.0.0.5:8080');
    clock.advance(60_000);
    expect(endpoints()).toEqual(['10.0.0.5:8080']);
  });

  it('withdraws nothing for thirty seconds after a restart, then what did not come back', async () => {
    registrar.subscribed(stream(), 'weft/inbound/http/10.0.0.5:1001');
    registrar.subscribed(stream(), 'weft/inbound/http/10.0.0.5:1002');
    await restart();
    expect(endpoints()).toEqual(['10.0.0.5:1001', '10.0.0.5:1002']);
    const back = stream();
    registrar.subscribed(back, 'weft/inbound/http/10.0.0.5:1001');
    clock.advance(5_000);
    registrar.closed(back);
    clock.advance(24_999);
    expect(endpoints()).toEqual(['10.0.0.5:1001', '10.0.0.5:1002']);
    clock.advance(1);
    expect(endpoints()).toEqual([]);
    await restart();
    expect(endpoints()).toEqual([]);
  });

  it('deregisters at once also within the grace time', async () => {
    const name = 'weft/inbound/http/10.0.0.5:8080';
    registrar.subscribed(stream(), name);
    await restart();
    const key = stream();
    registrar.subscribed(key, name);
    registrar.unsubscribed(key, name);
    expect(endpoints()).toEqual([]);
  });

  it('counts a port that several workers share once, and until the last gives it up', () => {
    const [first, second] = [stream(), stream({ ...web, id: 'n2' })];
    for (const key of [first, second]) registrar.subscribed(key, 'weft/inbound/http/10.0.0.5:8080');
    expect(endpoints()).toEqual(['10.0.0.5:8080']);
    registrar.unsubscribed(first, 'weft/inbound/http/10.0.0.5:8080');
    expect(endpoints()).toEqual(['10.0.0.5:8080']);
    registrar.unsubscribed(second, 'weft/inbound/http/10.0.0.5:8080');
    expect(endpoints()).toEqual([]);
  });

  it('keeps a port registered under two names of one stream until both are given up', () => {
    const key = stream({ ...web, addresses: ['10.0.0.5'] });
    registrar.subscribed(key, 'weft/inbound/http/0.0.0.0:8080');
    registrar.subscribed(key, 'weft/inbound/http/10.0.0.5:8080');
    registrar.unsubscribed(key, 'weft/inbound/http/0.0.0.0:8080');
    expect(endpoints()).toEqual(['10.0.0.5:8080']);
  });

  it('turns health with what the process says, and trusts any ready worker of a shared port', () => {
    const [first, second] = [stream(), stream({ ...web, id: 'n2' })];
    registrar.subscribed(first, 'weft/inbound/http/10.0.0.5:8080');
    registrar.health(first, false, 'warming up');
    expect(endpoints()).toEqual(['10.0.0.5:8080!']);
    registrar.subscribed(second, 'weft/inbound/http/10.0.0.5:8080');
    expect(endpoints()).toEqual(['10.0.0.5:8080']);
    registrar.unsubscribed(second, 'weft/inbound/http/10.0.0.5:8080');
    expect(endpoints()).toEqual(['10.0.0.5:8080!']);
    registrar.health(first, true, '');
    expect(endpoints()).toEqual(['10.0.0.5:8080']);
  });

  it('applies the health of a process to a port it opens later', () => {
    const key = stream();
    registrar.health(key, false, 'starting');
    registrar.subscribed(key, 'weft/inbound/http/10.0.0.5:8080');
    expect(endpoints()).toEqual(['10.0.0.5:8080!']);
  });

  it('waits for a WorkloadGroup that does not exist, says so once, and registers when it appears', async () => {
    model.replace('group', []);
    const key = stream();
    registrar.subscribed(key, 'weft/inbound/http/10.0.0.5:8080');
    registrar.health(key, false, 'x');
    registrar.health(key, true, '');
    expect(endpoints()).toEqual([]);
    expect(logger.error).toHaveBeenCalledTimes(1);
    expect(logger.error.mock.calls[0]![1]).toBe('web-10.0.0.5-8080 in shop is not registered: WorkloadGroup shop/web does not exist; it registers when the group appears');
    expect(registrar.list()[0]!.problem).toContain('does not exist');
    model.replace('group', [group]);
    graph.flush();
    expect(endpoints()).toEqual(['10.0.0.5:8080']);
  });

  it('follows its group, and leaves the mesh when the group passes to another account', () => {
    registrar.subscribed(stream(), 'weft/inbound/http/10.0.0.5:8080');
    model.replace('group', [{ ...group, labels: { app: 'web', version: 'v2' } }]);
    graph.flush();
    expect(model.reader(() => undefined).workloadsByAddress('shop', '10.0.0.5')[0]!.labels).toEqual({ app: 'web', version: 'v2' });
    model.replace('group', [{ ...group, serviceAccount: 'admin' }]);
    graph.flush();
    expect(endpoints()).toEqual([]);
    expect(registrar.list()[0]!.problem).toBe('WorkloadGroup shop/web is for service account admin, it registered as web-sa');
  });

  it('gives a port at once to another group that took it over from a process that is gone', () => {
    const key = stream({ ...web, group: 'old', id: 'old' });
    registrar.subscribed(key, 'weft/inbound/http/10.0.0.5:8080');
    registrar.closed(key);
    registrar.subscribed(stream(), 'weft/inbound/http/10.0.0.5:8080');
    expect(registrar.list().map(({ group: name }) => name)).toEqual(['web']);
  });

  it('limits the ports of one stream', async () => {
    await restart({ maxPorts: 2 });
    const key = stream();
    const refusals = [1, 2, 3].map((port) => registrar.subscribed(key, `weft/inbound/http/10.0.0.5:${port}`));
    expect(registrar.size).toBe(2);
    expect(refusals).toEqual([undefined, undefined, 'one process registers at most 2 ports']);
  });

  it('limits the ports of one identity, over all its streams and restarts, and not those of others', async () => {
    await restart({ maxRegistrations: 2 });
    const register = (registrant: Registrant, port: number) => registrar.subscribed(stream(registrant), `weft/inbound/http/10.0.0.5:${port}`);
    const key = stream();
    registrar.subscribed(key, 'weft/inbound/http/10.0.0.5:1');
    expect(register(web, 2)).toBeUndefined();
    expect(register(web, 3)).toBe('shop/web-sa has 2 registered ports, as many as one identity may have');
    expect(register({ ...web, namespace: 'bank' }, 4)).toBeUndefined();
    registrar.unsubscribed(key, 'weft/inbound/http/10.0.0.5:1');
    expect(register(web, 3)).toBeUndefined();
    await restart({ maxRegistrations: 2 });
    expect(register(web, 5)).toMatch(/as many as one identity may have/);
  });

  it('does not give a waiting port to another identity that only claims the address', () => {
    const key = stream();
    registrar.subscribed(key, 'weft/inbound/http/10.0.0.5:8080');
    registrar.closed(key);
    const other = { ...web, namespace: 'bank', id: 'other' };
    registrar.subscribed(stream({ ...other, peerAddress: '10.9.9.9' }), 'weft/inbound/http/10.0.0.5:8080');
    expect(endpoints()).toEqual(['10.0.0.5:8080']);
    registrar.subscribed(stream({ ...other, peerAddress: '10.0.0.5' }), 'weft/inbound/http/10.0.0.5:8080');
    expect(endpoints()).toEqual([]);
  });

  it('ignores streams that may not register', () => {
    registrar.subscribed({}, 'weft/inbound/http/10.0.0.5:8080');
    expect(registrar.size).toBe(0);
  });
});

it.each([
  ['weft/inbound/http/10.0.0.5:8080', { portName: 'http', address: '10.0.0.5', port: 8080 }],
  ['weft/inbound/grpc/[fd00::5]:1', { portName: 'grpc', address: 'fd00::5', port: 1 }],
  ['weft/inbound/http/10.0.0.5:0', undefined],
  ['weft/inbound/http/10.0.0.5:65536', undefined],
  ['weft/inbound/http/10.0.0:80', undefined],
  ['weft/inbound/http/[10.0.0.5]:80', undefined],
  ['weft/inbound/http/fd00::5:80', undefined],
  ['weft/inbound//10.0.0.5:80', undefined],
  ['weft/inbound/a/b/10.0.0.5:80', undefined],
  ['weft/inbound/http/host:80', undefined],
])('reads %s', (name, expected) => expect(parseInboundName(name)).toEqual(expected));

it('knows what a wildcard bind is reached at', () => {
  const instance = ['10.0.0.5', 'fd00::5'];
  expect([reachableAddresses('0.0.0.0', instance), reachableAddresses('::', instance), reachableAddresses('127.0.0.1', instance)]).toEqual([['10.0.0.5'], instance, ['127.0.0.1']]);
});
