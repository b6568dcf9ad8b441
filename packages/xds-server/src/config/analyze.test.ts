import { expect, it } from 'vitest';
import { MeshModel } from '../model/mesh-model.js';
import { parseConfigFile } from '../source/config-file.js';
import { builtinKinds } from './builtin.js';
import { ConfigPipeline } from './config-pipeline.js';
import { formatProblem } from './config-object.js';

const mesh = `
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {selector: {app: a}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: a1}
spec: {address: 10.0.0.1, labels: {app: a, version: v1}, serviceAccount: a}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec: {host: a, subsets: [{name: v1, labels: {version: v1}}]}
`;

const networking = (kind: string, name: string, spec: string, metadata = '') => `---\napiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: ${name}${metadata}}\nspec: ${spec}\n`;
const security = (kind: string, name: string, spec: string) => networking(kind, name, spec).replace('networking', 'security');

function warnings(text: string): string[] {
  const pipeline = new ConfigPipeline({ kinds: builtinKinds, model: new MeshModel() });
  const { objects, problems } = parseConfigFile('f', mesh + text, 'files');
  pipeline.replace('f', objects, problems);
  return pipeline.problems().map((problem) => formatProblem(problem).replace(/^warning: f:\d+:\d+ /, ''));
}

it('a mesh in which everything fits has no warnings', () => {
  expect(warnings(networking('VirtualService', 'a', '{hosts: [a], http: [{route: [{destination: {host: a, subset: v1, port: {number: 80}}}]}]}'))).toEqual([]);
});

it('destinations that lead nowhere: host, port, subset, also in mirrors and without weight', () => {
  expect(warnings(networking('VirtualService', 'a', `{hosts: [a], http: [{route: [
    {destination: {host: a, subset: v1}, weight: 1}, {destination: {host: a, subset: v2}, weight: 0}, {destination: {host: none}, weight: 1}, {destination: {host: a, port: {number: 81}}, weight: 1}],
    mirror: {host: a, subset: v3}}]}`))).toEqual([
    'VirtualService default/a: spec.http[0].route[1].destination.subset: a.default.svc.cluster.local has no subset v2 (it has v1): requests to it fail with 503',
    'VirtualService default/a: spec.http[0].route[2].destination.host: none.default.svc.cluster.local is no service that default can see: requests to it fail with 503',
    'VirtualService default/a: spec.http[0].route[3].destination.port.number: a.default.svc.cluster.local has no port 81 (it has 80): requests to it fail with 503',
    'VirtualService default/a: spec.http[0].mirror.subset: a.default.svc.cluster.local has no subset v3 (it has v1): requests to it fail with 503',
  ]);
});

it('delegates: missing, hidden, in conflict with the rule, used by nobody', () => {
  const route = 'route: [{destination: {host: a}}]';
  const delegate = (name: string, http: string, metadata = '') => networking('VirtualService', name, `{http: [${http}]}`, metadata);
  expect(warnings(networking('VirtualService', 'root', `{hosts: [a], http: [{match: [{uri: {prefix: /a}}], delegate: {name: d}}, {${route}}, {delegate: {name: none}}]}`)
    + delegate('d', `{match: [{uri: {prefix: /a/b}}], ${route}}, {match: [{uri: {prefix: /c}}], route: [{destination: {host: nowhere}}]}`) + delegate('idle', `{${route}}`))).toEqual([
    'VirtualService default/root: spec.http[0].delegate: http[1] of default/d is left out: it matches requests that this match does not hand over',
    'VirtualService default/root: spec.http[2].delegate: default/none is no VirtualService without hosts that default can see: the route is left out',
    'VirtualService default/d: spec.http[1].route[0].destination.host: nowhere.default.svc.cluster.local is no service that default can see: requests to it fail with 503',
    'VirtualService default/idle: spec: has no hosts, and no VirtualService delegates to it: it has no effect',
  ]);
});

it('rules for hosts that nobody has, and subsets without endpoints', () => {
  expect(warnings(networking('DestinationRule', 'none', '{host: none}'))[0]).toMatch(/^DestinationRule default\/none: spec.host: none.default.svc.cluster.local is no service/);
  expect(warnings(networking('DestinationRule', 'more', '{host: a, subsets: [{name: v9, labels: {version: v9}}]}'))[0]).toContain('no endpoint of a.default.svc.cluster.local has the labels of the subset v9');
  expect(warnings(networking('DestinationRule', 'wild', '{host: "*.svc.cluster.local"}'))).toEqual([]);
});

it('a host that two objects claim for the same clients: the second is named', () => {
  const rule = (name: string, more = '') => networking('VirtualService', name, `{hosts: [a.default.svc.cluster.local], ${more} http: [{route: [{destination: {host: a.default.svc.cluster.local}}]}]}`);
  expect(warnings(rule('one') + rule('two'))).toEqual(['VirtualService default/two: spec.hosts: a.default.svc.cluster.local is taken by VirtualService default/one, which comes first: this one is not used where both can be seen']);
  expect(warnings(rule('one', 'exportTo: [x],') + rule('two', 'exportTo: [y],'))).toEqual([]);
  expect(warnings(networking('ServiceEntry', 'thief', '{hosts: [a.default.svc.cluster.local], ports: [{number: 80, name: http, protocol: HTTP}]}', ', namespace: evil'))[0]).toContain('ServiceEntry evil/thief: spec.hosts: a.default.svc.cluster.local is taken by Service default/a');
});

it('policies that select nothing; a WorkloadGroup counts, its processes may come', () => {
  const policies = security('PeerAuthentication', 'p', '{selector: {matchLabels: {app: none}}, mtls: {mode: STRICT}}') + security('AuthorizationPolicy', 'z', '{selector: {matchLabels: {app: none}}}');
  expect(warnings(policies)).toEqual(['PeerAuthentication default/p: spec.selector: selects no workload of default', 'AuthorizationPolicy default/z: spec.selector: selects no workload of default']);
  expect(warnings(policies + networking('WorkloadGroup', 'g', '{metadata: {labels: {app: none}}, template: {}}'))).toEqual([]);
});

it('rules for a name under the wildcard of a service, which has the rules of the wildcard', () => {
  const entry = networking('ServiceEntry', 'wild', '{hosts: ["*.wild.test"], resolution: DYNAMIC_DNS, ports: [{number: 80, name: http, protocol: HTTP}]}');
  const rule = (host: string) => networking('VirtualService', 'r', `{hosts: ["${host}"], http: [{route: [{destination: {host: a}}]}]}`);
  expect(warnings(entry + rule('one.wild.test'))).toEqual(['VirtualService default/r: spec.hosts: one.wild.test belongs to *.wild.test of ServiceEntry default/wild: only rules for that host, or a wildcard above it, are used']);
  expect(warnings(entry + rule('*.wild.test'))).toEqual([]);
});

it('failover that nothing leads to, for want of outlier detection', () => {
  const balancer = 'loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}';
  expect(warnings(networking('DestinationRule', 'o', `{host: a, trafficPolicy: {${balancer}}}`))).toEqual(['DestinationRule default/o: spec.trafficPolicy.loadBalancer.localityLbSetting.failover: has no effect without outlierDetection']);
  const detection = 'outlierDetection: {maxEjectionPercent: 100}';
  expect(warnings(networking('DestinationRule', 'o', `{host: a, trafficPolicy: {${balancer}, ${detection}}}`))).toEqual([]);
  expect(warnings(networking('DestinationRule', 'o', `{host: a, trafficPolicy: {${detection}, portLevelSettings: [{port: {number: 80}, loadBalancer: {zoneAwareLbSetting: {failoverPriority: [x]}}}]}, subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {${balancer}}}]}`))).toEqual([
    'DestinationRule default/o: spec.trafficPolicy.portLevelSettings[0].loadBalancer.zoneAwareLbSetting.failoverPriority: has no effect without outlierDetection',
  ]);
});

it('outlier detection that ejects nobody, of subsets and ports too, where the endpoints are known', () => {
  expect(warnings(networking('DestinationRule', 'o', '{host: a, trafficPolicy: {portLevelSettings: [{port: {number: 80}, outlierDetection: {}}]}, subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {outlierDetection: {maxEjectionPercent: 50}}}]}'))).toEqual([
    expect.stringContaining('spec.trafficPolicy.portLevelSettings[0].outlierDetection: lets Envoy eject none of 1 endpoints') as string,
    expect.stringContaining('spec.subsets[0].trafficPolicy.outlierDetection: lets Envoy eject none of 1 endpoints: maxEjectionPercent 50') as string,
  ]);
});

it.each([
  ['{}', 'lets Envoy eject none of 1 endpoints: maxEjectionPercent 10 is less than one of them'],
  ['{maxEjectionPercent: 0}', 'maxEjectionPercent: is 0: no endpoint is ever ejected'],
  ['{consecutive5xxErrors: 0, maxEjectionPercent: 100}', 'has every error count off: no endpoint is ever ejected'],
  ['{maxEjectionPercent: 100}', undefined],
  ['{consecutive5xxErrors: 0, consecutiveGatewayErrors: 1, maxEjectionPercent: 100}', undefined],
])('outlier detection %s', (detection, expected) => {
  const found = warnings(networking('DestinationRule', 'o', `{host: a, trafficPolicy: {outlierDetection: ${detection}}}`));
  expect(found).toEqual(expected === undefined ? [] : [expect.stringContaining(expected)]);
});
