import { describe, expect, it } from 'vitest';
import type { Service } from '../../../model/service.js';
import { kindText, normalizeText, only } from '../../testing.js';

const text = (spec: string) => kindText('networking.istio.io/v1', 'ServiceEntry', spec);
const ports = 'ports: [{number: 80, name: http, protocol: HTTP}]';
const problems = (spec: string) => normalizeText(text(spec)).problems.map((line) => line.replace(/^(warning: )?\S+ ServiceEntry default\/x: spec/, '$1'));

it('makes a service of each host, with endpoints of its own', () => {
  const { objects, problems: found } = normalizeText(text(`{hosts: [a.test, b.test], ${ports}, location: MESH_INTERNAL, resolution: STATIC, subjectAltNames: [s], addresses: [10.0.0.1],
    endpoints: [{address: 10.1.0.1, ports: {http: 8080}, labels: {v: "1"}, locality: r/z/s, weight: 3, serviceAccount: sa}]}`));
  expect(found).toEqual([]);
  expect(objects).toHaveLength(2);
  expect(objects[0]).toMatchObject({
    key: 'ServiceEntry/default/x/a.test', host: 'a.test', cluster: false, location: 'internal', resolution: 'static', addresses: ['10.0.0.1'], subjectAltNames: ['s'], exportTo: ['*'], selector: {},
    ports: [{ number: 80, name: 'http', protocol: 'http', targetPort: 80 }],
    endpoints: [{ key: 'ServiceEntry/default/x/a.test/0', address: '10.1.0.1', ports: { http: 8080 }, labels: { v: '1' }, locality: { region: 'r', zone: 'z', subZone: 's' }, weight: 3, serviceAccount: 'sa', via: 'inline' }],
  });
  expect((objects[1] as Service).endpoints[0]?.key).toBe('ServiceEntry/default/x/b.test/0');
});

it.each([
  ['', 'logical-dns', 1],
  ['resolution: DNS,', 'dns', 1],
  ['resolution: DNS_ROUND_ROBIN,', 'logical-dns', 1],
  ['resolution: STATIC, workloadSelector: {labels: {app: a}},', 'selector', 0],
  ['resolution: DNS, workloadSelector: {labels: {app: a}},', 'dns', 0],
] as const)('with %s it resolves by %s', (fields, resolution, endpoints) => {
  const found = only('service', text(`{hosts: [a.test], ${fields} ${ports}}`));
  expect([found.resolution, found.endpoints.length, found.location]).toEqual([resolution, endpoints, 'external']);
  if (endpoints > 0) expect(found.endpoints[0]?.address).toBe('a.test');
});

it.each([['HTTP', 'http'], ['https', 'https'], ['GRPC', 'grpc'], ['HTTP2', 'http2'], ['TLS', 'tls'], ['MONGO', 'tcp'], ['TCP', 'tcp']])('protocol %s', (given, expected) => {
  expect(only('service', text(`{hosts: [a.test], ports: [{number: 9, name: p, protocol: ${given}, targetPort: 10}]}`)).ports).toEqual([{ number: 9, name: 'p', protocol: expected, targetPort: 10 }]);
});

describe('is refused for', () => {
  it.each([
    [`{hosts: ["*"], ${ports}}`, '.hosts[0]: cannot be * alone'],
    [`{hosts: [a.test], ${ports}, resolution: STATIC}`, '.endpoints: is required with STATIC (or workloadSelector)'],
    [`{hosts: [a.test], ${ports}, endpoints: [{address: 10.0.0.1}]}`, '.resolution: NONE has no endpoints: set STATIC or DNS'],
    [`{hosts: ['*.test'], resolution: DYNAMIC_DNS, ${ports}, endpoints: [{address: 10.0.0.1}]}`, '.resolution: DYNAMIC_DNS has no endpoints: set STATIC or DNS'],
    [`{hosts: [a.test], ${ports}, resolution: STATIC, endpoints: [{address: b.test}]}`, '.endpoints[0].address: b.test is not an IP address, as STATIC requires'],
    [`{hosts: ["*.test"], ${ports}, resolution: DNS}`, '.resolution: *.test cannot be looked up in DNS: endpoints are required'],
    [`{hosts: [a.test], ${ports}, resolution: STATIC, endpoints: [{address: 10.0.0.1}], workloadSelector: {labels: {a: b}}}`, '.workloadSelector: cannot be set together with endpoints'],
    ['{hosts: [a.test]}', '.ports: is required'],
    ['{hosts: [a.test], ports: [{number: 1, name: a, protocol: UDP}]}', '.ports[0].protocol: UDP is none of HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, REDIS, MYSQL, TCP, TLS'],
    ['{hosts: [a.test], ports: [{number: 1, name: a, protocol: TCP}, {number: 1, name: b, protocol: TCP}]}', '.ports[1].number: the port 1 exists already'],
    [`{hosts: [a.test], ${ports}, addresses: [x]}`, '.addresses[0]: "x" is neither an address nor a range'],
    [`{hosts: [a.test], ${ports}, resolutoin: DNS}`, '.resolutoin: is not a known field'],
  ])('%s', (spec, expected) => expect(problems(spec)).toEqual([expected]));
});

it('warns for ranges, which nobody can dial, and for bytes under DYNAMIC_DNS, which name no host', () => {
  expect(problems(`{hosts: ["*.test"], ports: [{number: 80, name: http, protocol: HTTP}, {number: 81, name: raw, protocol: TCP}], addresses: [10.0.0.0/8], resolution: DYNAMIC_DNS}`)).toEqual([
    'warning: .addresses[0]: ranges are not implemented: a client cannot dial one',
    'warning: .ports: only HTTP requests say which name to resolve: with DYNAMIC_DNS clients get no cluster for the other ports',
  ]);
});

it('looks a single name up where there is no resolution, as the application would', () => {
  const { objects, problems: found } = normalizeText(text(`{hosts: ["*.b.test", a.test], ${ports}}`));
  expect(found).toEqual([]);
  expect(objects).toMatchObject([{ resolution: 'none', endpoints: [] }, { resolution: 'logical-dns', endpoints: [{ address: 'a.test' }] }]);
  expect(only('service', text(`{hosts: [a.test], addresses: [10.0.0.1], ${ports}}`)).resolution).toBe('none');
});

it('resolves names under a wildcard as requests come, and a single name like DNS does', () => {
  const { objects, problems: found } = normalizeText(text(`{hosts: ["*.wild.test", one.test], ${ports}, resolution: DYNAMIC_DNS}`));
  expect(found).toEqual([]);
  expect(objects).toMatchObject([{ host: '*.wild.test', resolution: 'dynamic-dns', endpoints: [] }, { host: 'one.test', resolution: 'dns', endpoints: [{ address: 'one.test' }] }]);
});

describe('WorkloadEntry and WorkloadGroup', () => {
  it('are workloads and templates; labels of the metadata win', () => {
    const entry = only('workload', kindText('networking.istio.io/v1', 'WorkloadEntry', '{address: 10.0.0.1, ports: {http: 81}, labels: {app: a, v: "1"}, serviceAccount: sa, weight: 0}', 'name: x, labels: {app: b}'));
    expect(entry).toMatchObject({ address: '10.0.0.1', ports: { http: 81 }, labels: { app: 'b', v: '1' }, serviceAccount: 'sa', via: 'entry', health: 'healthy' });
    expect(entry).not.toHaveProperty('weight');
    const group = only('workload-group', kindText('networking.istio.io/v1', 'WorkloadGroup', '{metadata: {labels: {app: b}}, template: {ports: {http: 81}, labels: {app: a, v: "1"}}}'));
    expect(group).toMatchObject({ labels: { app: 'b', v: '1' }, ports: { http: 81 }, serviceAccount: 'default' });
  });

  it.each([['10.0.0.1'], ['a.test'], ['unix:///run/a.sock'], ['2001:db8::1']])('address %s', (address) => {
    expect(only('workload', kindText('networking.istio.io/v1', 'WorkloadEntry', `{address: "${address}"}`)).address).toBe(address);
  });

  it.each([['', 'is required'], ['unix://a', 'must be unix:// and an absolute path'], ['*.a', 'cannot be a wildcard'], ['a b', 'is not a DNS name']])('not address %s', (address, reason) => {
    expect(normalizeText(kindText('networking.istio.io/v1', 'WorkloadEntry', `{address: "${address}"}`)).problems[0]).toContain(`spec.address: `);
    expect(normalizeText(kindText('networking.istio.io/v1', 'WorkloadEntry', `{address: "${address}"}`)).problems[0]).toContain(reason);
  });
});
