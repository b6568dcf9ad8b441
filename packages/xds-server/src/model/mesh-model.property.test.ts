// Random histories of the model. What makes incremental generation sound: the model equals one built from scratch, and
// an answer that changed had one of its recorded dependencies in the change set.
import { isDeepStrictEqual } from 'node:util';
import { expect, it } from 'vitest';
import type { Dependency } from './change-set.js';
import { authorization, peerPolicy, routeRule, service, slice, trafficPolicy, workload, workloadGroup } from './fixture.js';
import type { MeshReader } from './mesh-reader.js';
import { MeshModel } from './mesh-model.js';
import type { ModelObject } from './model-object.js';

const seed = Number(process.env['WEFT_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** mulberry32 */
function random(from: number): () => number {
  let state = from;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const namespaces = ['default', 'finance', 'istio-system'];
const apps = ['a', 'b'];
const addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
const hosts = ['a.default.svc.cluster.local', 'b.default.svc.cluster.local', 'a.finance.svc.cluster.local', 'api.example.com', '*.example.com', '*.default.svc.cluster.local', '*'];
const typeUrl = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';

function generator(next: () => number) {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)]!;
  const maybe = (share = 0.5) => next() < share;
  const labels = (): Record<string, string> => ({ app: pick(apps), ...(maybe() && { version: pick(['v1', 'v2']) }) });
  const where = () => ({ namespace: pick(namespaces), createdAt: Math.floor(next() * 3) });
  const exportTo = () => pick([['*'], ['default'], ['finance']]);
  const selector = () => (maybe() ? { selector: labels() } : {});
  const makers: (() => ModelObject)[] = [
    () => {
      const over = where();
      const inner = maybe(0.7);
      return service(pick(apps), {
        ...over,
        exportTo: exportTo(),
        ...(!inner && { cluster: false, host: pick(['api.example.com', '*.example.com']), addresses: maybe() ? [pick(addresses)] : [] }),
        selector: maybe(0.8) ? labels() : {},
        resolution: pick(['selector', 'slices', 'static'] as const),
        ports: [{ number: 80, name: pick(['http', 'web']), protocol: 'http', targetPort: pick([8080, 'web']) }],
      });
    },
    () => workload(pick(['w1', 'w2', 'w3']), pick(addresses), { ...where(), labels: labels(), health: pick(['healthy', 'unhealthy']), ...(maybe() && { serviceAccount: pick(apps) }) }),
    () => workload(pick(['p1', 'p2', 'p3']), pick(addresses), { ...where(), via: 'pod', labels: labels(), ports: { web: 81 }, health: pick(['healthy', 'unhealthy']), serviceAccount: pick(apps) }),
    () => workload(pick(['r1', 'r2']), pick(addresses), { ...where(), via: 'registration', labels: labels(), boundPorts: { [pick(['http', 'web'])]: 45001 } }),
    () => {
      const over = where();
      const pods = ['p1', 'p2', 'p3'].filter(() => maybe()).map((name) => ({ addresses: [pick(addresses)], ready: maybe(), zone: '', ...(maybe(0.8) && { pod: `${over.namespace}/${name}` }) }));
      return slice(pick(['s1', 's2']), pick(apps), { ...over, ports: { [pick(['http', 'web'])]: 8080 }, endpoints: pods });
    },
    () => routeRule(pick(apps), [pick(hosts), pick(hosts)], { ...where(), exportTo: exportTo() }),
    () => trafficPolicy(pick(apps), pick(hosts), { ...where(), exportTo: exportTo(), workloadSelector: maybe(0.3) ? labels() : {}, subsets: [{ name: pick(['v1', 'v2']), labels: labels(), policy: { ports: [] } }] }),
    () => peerPolicy(pick(apps), { ...where(), ...selector(), ...(maybe(0.7) && { mode: pick(['strict', 'permissive', 'disable'] as const) }), ports: { 80: pick(['strict', undefined] as const) } }),
    () => authorization(pick(apps), { ...where(), ...selector() }),
    () => workloadGroup(pick(apps), { ...where() }),
    () => {
      const name = pick(apps);
      const file = pick(['f1', 'f2']);
      return { type: 'raw-resource', key: `${file}/${name}`, namespace: '', name, origin: file, createdAt: 0, typeUrl, resourceName: name, value: new Uint8Array([Math.floor(next() * 3)]) };
    },
  ];
  return { object: () => pick(makers)(), pick, maybe };
}

/** Questions as generators put them: a service is looked up first, then asked about. */
const questions: { name: string; ask(reader: MeshReader): unknown }[] = [];
const add = (name: string, ask: (reader: MeshReader) => unknown) => questions.push({ name, ask });
for (const namespace of namespaces) {
  add(`visible ${namespace}`, (reader) => reader.servicesVisibleFrom(namespace));
  for (const name of ['a', 'b.default', 'a.finance.svc', 'x.example.com', ...addresses]) add(`resolve ${name} ${namespace}`, (reader) => reader.resolve(name, namespace));
  for (const host of hosts) {
    add(`route ${host} ${namespace}`, (reader) => reader.routeRule(host, namespace));
    for (const app of apps) {
      add(`policy ${host} ${namespace} ${app}`, (reader) => {
        const found = reader.resolve(host, namespace);
        return found && reader.trafficPolicy(found, namespace, { app });
      });
    }
  }
  for (const address of addresses) {
    add(`workloads ${namespace} ${address}`, (reader) => reader.workloadsByAddress(namespace, address));
    add(`services of ${namespace} ${address}`, (reader) => reader.workloadsByAddress(namespace, address).map((found) => reader.servicesOf(found)));
  }
  for (const app of apps) {
    for (const version of ['v1', 'v3']) {
      const of = { namespace, labels: { app, version } };
      add(`mtls ${namespace} ${app} ${version}`, (reader) => [reader.mtlsMode(of), reader.mtlsMode(of, 80)]);
      add(`authz ${namespace} ${app} ${version}`, (reader) => reader.authorizations(of));
    }
    add(`group ${namespace} ${app}`, (reader) => reader.workloadGroup(namespace, app));
    add(`unknown ${namespace} ${app}`, (reader) => reader.servicesOf(workload('unknown', '10.9.9.9', { namespace, labels: { app } })));
  }
}
for (const host of hosts) {
  add(`service ${host}`, (reader) => reader.service(host));
  add(`endpoints ${host}`, (reader) => {
    const found = reader.service(host);
    return found?.ports.map((port) => reader.endpoints(found, port));
  });
  add(`accounts ${host}`, (reader) => {
    const found = reader.service(host);
    return found && reader.serviceAccounts(found);
  });
}
for (const name of apps) add(`raw ${name}`, (reader) => reader.rawResource(typeUrl, name));
add('raw names', (reader) => reader.rawResourceNames(typeUrl));

function ask(model: MeshModel, question: (typeof questions)[number]) {
  const recorded = new Set<Dependency>();
  return { answer: question.ask(model.reader((place) => recorded.add(place))), recorded };
}

it.each([0, 1, 2, 3])(`is sound and equal to one built from scratch (seed ${seed} + %i)`, (offset) => {
  const { object, pick, maybe } = generator(random(seed + offset));
  const model = new MeshModel();
  const present = new Map<string, ModelObject>();
  let known = questions.map((question) => ask(model, question));
  let changed = new Set<Dependency>();
  model.onChange((change) => (changed = new Set([...changed, ...change.dependencies])));
  for (let step = 0; step < 250; step++) {
    changed = new Set();
    model.batch(() => {
      for (let count = maybe(0.8) ? 1 : 3; count > 0; count--) {
        const remove = maybe(0.3) && present.size > 0 ? pick([...present.keys()]) : undefined;
        const next = object();
        const owner = remove ?? `${next.type} ${next.key}`;
        if (remove !== undefined) present.delete(owner);
        else present.set(owner, next);
        model.replace(owner, remove !== undefined ? [] : [next]);
      }
    });
    const now = questions.map((question) => ask(model, question));
    questions.forEach((question, at) => {
      const { answer, recorded } = known[at]!;
      if (isDeepStrictEqual(answer, now[at]!.answer)) return;
      const hit = [...recorded].some((place) => changed.has(place));
      expect(hit, `seed ${seed} + ${offset}, step ${step}: ${question.name} changed unannounced (${[...changed].join(' ')})`).toBe(true);
    });
    known = now;
    if (step % 25 !== 0) continue;
    const fresh = new MeshModel();
    for (const [owner, each] of [...present].toReversed()) fresh.replace(owner, [each]);
    questions.forEach((question, at) => expect(now[at]!.answer, `seed ${seed} + ${offset}, step ${step}: ${question.name}`).toEqual(ask(fresh, question).answer));
  }
});
