// Configuration of wrong shapes everywhere: kinds must report, never throw, and every report must have a place.
import { expect, it } from 'vitest';
import { defaultMeshSettings } from '../model/mesh-model.js';
import { builtinKinds } from './builtin.js';
import type { ConfigObject } from './config-object.js';
import { KindRegistry } from './kind-registry.js';

const seed = Number(process.env['WEFT_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** A specimen of each kind with most of its fields, to be damaged. */
const specimens: Record<string, object> = {
  'networking.istio.io/VirtualService': { spec: { hosts: ['a'], exportTo: ['.'], gateways: ['mesh'], http: [{
    name: 'r', match: [{ name: 'm', uri: { prefix: '/' }, headers: { a: { exact: 'b' } }, queryParams: { q: {} }, port: 80, sourceLabels: { a: 'b' } }], route: [{ destination: { host: 'a', subset: 's', port: { number: 80 } }, weight: 1, headers: { request: { set: { a: 'b' }, remove: ['c'] } } }],
    timeout: '1s', retries: { attempts: 1, retryOn: '5xx' }, fault: { delay: { fixedDelay: '1s', percentage: { value: 1 } }, abort: { httpStatus: 500, percentage: { value: 1 } } }, rewrite: { uriRegexRewrite: { match: 'a', rewrite: 'b' } },
    mirrors: [{ destination: { host: 'a' }, percentage: { value: 1 } }], corsPolicy: { allowOrigins: [{ exact: 'a' }], maxAge: '1s' } }, { redirect: { uri: '/', redirectCode: 301 } }, { directResponse: { status: 200, body: { string: 'a' } } }] } },
  'networking.istio.io/DestinationRule': { spec: { host: 'a', workloadSelector: { matchLabels: { a: 'b' } }, trafficPolicy: { loadBalancer: { consistentHash: { httpCookie: { name: 'a', ttl: '1s' }, maglev: { tableSize: 7 } }, localityLbSetting: { distribute: [{ from: 'a', to: { b: 100 } }] }, warmup: { duration: '1s' } },
    connectionPool: { tcp: { maxConnections: 1, connectTimeout: '1s' }, http: { maxRetries: 1, h2UpgradePolicy: 'UPGRADE' } }, outlierDetection: { interval: '1s' }, tls: { mode: 'SIMPLE', subjectAltNames: ['a'] }, portLevelSettings: [{ port: { number: 1 }, tls: { mode: 'DISABLE' } }] }, subsets: [{ name: 's', labels: { a: 'b' } }] } },
  'networking.istio.io/ServiceEntry': { spec: { hosts: ['a.test'], addresses: ['10.0.0.1'], ports: [{ number: 1, name: 'a', protocol: 'HTTP', targetPort: 2 }], location: 'MESH_INTERNAL', resolution: 'STATIC', endpoints: [{ address: '10.0.0.1', ports: { a: 1 }, labels: { a: 'b' }, locality: 'r/z', weight: 1 }] } },
  'networking.istio.io/WorkloadEntry': { spec: { address: '10.0.0.1', ports: { a: 1 }, labels: { a: 'b' }, serviceAccount: 's' } },
  'networking.istio.io/WorkloadGroup': { spec: { metadata: { labels: { a: 'b' } }, template: { ports: { a: 1 }, serviceAccount: 's' } } },
  'security.istio.io/PeerAuthentication': { spec: { selector: { matchLabels: { a: 'b' } }, mtls: { mode: 'STRICT' }, portLevelMtls: { 80: { mode: 'DISABLE' } } } },
  'security.istio.io/AuthorizationPolicy': { spec: { selector: { matchLabels: { a: 'b' } }, action: 'DENY', rules: [{ from: [{ source: { principals: ['a'], ipBlocks: ['10.0.0.0/8'], requestPrincipals: ['a'] } }], to: [{ operation: { ports: ['1'], paths: ['/{*}'] } }], when: [{ key: 'source.ip', values: ['10.0.0.1'] }] }] } },
  '/Service': { spec: { selector: { a: 'b' }, clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1'], type: 'ClusterIP', ports: [{ name: 'a', port: 1, targetPort: 2, protocol: 'TCP', appProtocol: 'http' }] } },
  '/Pod': { spec: { serviceAccountName: 's', containers: [{ ports: [{ name: 'a', containerPort: 1 }] }] }, status: { podIP: '10.0.0.1', phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } },
  '/Namespace': {},
  '/ServiceAccount': {},
  'discovery.k8s.io/EndpointSlice': { addressType: 'IPv4', ports: [{ name: 'a', port: 1 }], endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true }, zone: 'z', targetRef: { kind: 'Pod', name: 'p', namespace: 'n' } }] },
  'xds.weft/Resource': { resource: { '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster', name: 'a', connectTimeout: '1s' } },
};

const damage: unknown[] = [null, undefined, 0, -1, 1.5, Number.NaN, 2 ** 53, '', 'x', '*', '__proto__', '10.0.0.0/99', '{**}', true, [], [[]], [null], {}, { a: null }, { constructor: {} }, '\0', '\u{d800}', 'é'.repeat(300)];

function random(from: number): (below: number) => number {
  let state = from;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Math.floor(((state >>> 8) / 2 ** 24) * below);
  };
}

/** A copy with some values replaced, moved or removed. */
function damaged(value: unknown, pick: (below: number) => number): unknown {
  if (pick(12) === 0) return damage[pick(damage.length)];
  if (Array.isArray(value)) return [...value, ...value.slice(0, pick(2))].map((inner) => damaged(inner, pick));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).flatMap(([key, inner]): [string, unknown][] => (pick(30) === 0 ? [] : [[pick(30) === 0 ? 'odd.key' : key, damaged(inner, pick)]]));
  return Object.fromEntries(entries);
}

function objectOf(id: string, body: object): ConfigObject {
  const [group = '', kind = ''] = id.split('/');
  const version = builtinKinds.find((each) => each.kind === kind && each.group === group)!.versions[0]!;
  const labels = { 'kubernetes.io/service-name': 'a' };
  // The path of a raw resource is the file parser's own word.
  const head = group === 'xds.weft' ? { path: 'resources[0]' } : { apiVersion: version, kind, metadata: { name: 'x' } };
  return { group, version, kind, metadata: { name: 'x', namespace: 'default', labels, annotations: {} }, body: { ...body, ...head }, source: 'test', position: () => undefined };
}

it('there is a specimen of every kind, and all of them are good', () => {
  const registry = new KindRegistry(builtinKinds, defaultMeshSettings);
  expect(Object.keys(specimens).toSorted()).toEqual(builtinKinds.map(({ group, kind }) => `${group}/${kind}`).toSorted());
  for (const [id, body] of Object.entries(specimens)) {
    expect(registry.normalize(objectOf(id, body)).problems.filter(({ severity }) => severity === 'error'), id).toEqual([]);
  }
});

it.each(Object.keys(specimens))(`%s of any shape is reported and never throws (seed ${seed})`, (id) => {
  const registry = new KindRegistry(builtinKinds, defaultMeshSettings);
  const pick = random(seed);
  for (let run = 0; run < 400; run++) {
    const body = damaged(specimens[id], pick);
    const object = objectOf(id, typeof body === 'object' && body !== null ? body : {});
    const { objects, problems } = registry.normalize(object);
    const shape = `seed ${seed}, run ${run}: ${JSON.stringify(object.body)}`;
    expect(problems.filter(({ reason }) => reason.startsWith('cannot be read')), shape).toEqual([]);
    expect(objects !== undefined || problems.some(({ severity, field }) => severity === 'error' && field !== undefined), shape).toBe(true);
  }
});
