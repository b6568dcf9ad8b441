// docs/configuration.md against the code: every example does what its row says, and every field that is read has a row.
import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { parse, stringify } from 'yaml';
import { defaultMeshSettings } from '../model/mesh-model.js';
import { parseConfigFile } from '../source/config-file.js';
import { builtinKinds } from './builtin.js';
import { joinPath, parsePath } from './field-path.js';
import { Fields } from './fields.js';
import { KindRegistry } from './kind-registry.js';

type Data = Record<string | number, unknown>;

const text = readFileSync(new URL('../../../../docs/configuration.md', import.meta.url), 'utf8');
const sections = text.split(/^## /m).slice(1).map((section) => {
  const rows = [...section.matchAll(/^\| `([^`]+)` \| `([^`]+)` \| (\w+) \|/gm)].map(([, path, example, status]) => ({ path: path!, example: parse(example!) as unknown, status: status! }));
  return { kind: section.slice(0, section.indexOf('\n')), base: /```yaml\n([\s\S]*?)```/.exec(section)![1]!, rows };
});

/** What must stand beside a field for it to be valid, and what must not. */
const beside: readonly [RegExp, Data][] = [
  [/consistentHash\.(ringHash|maglev|minimumRingSize)/, { 'spec.trafficPolicy.loadBalancer.consistentHash.httpHeaderName': 'x' }],
  [/httpCookie\.(?!name)/, { 'spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.name': 'c' }],
  [/httpCookie\.attributes/, { 'spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.ttl': '1h' }],
  [/loadBalancer\.peakEwma/, { 'spec.trafficPolicy.loadBalancer.simple': 'PEAK_EWMA' }],
  [/warmup\.(minimumPercent|aggression)/, { 'spec.trafficPolicy.loadBalancer.warmup.duration': '10s' }],
  [/tls\.(clientCertificate|privateKey)/, { 'spec.trafficPolicy.tls': { mode: 'MUTUAL', clientCertificate: '/a', privateKey: '/b' } }],
  [/tls\.(caCertificates|subjectAltNames|sni|insecureSkipVerify|credentialName|caCrl)/, { 'spec.trafficPolicy.tls.mode': 'SIMPLE' }],
  [/retries\.(?!attempts)/, { 'spec.http[0].retries.attempts': 1 }],
  [/fault\.delay\.(?!fixed)/, { 'spec.http[0].fault.delay.fixedDelay': '1s' }],
  [/fault\.abort\.(?!httpStatus|grpcStatus)/, { 'spec.http[0].fault.abort.httpStatus': 500 }],
  [/fault\.delay\.(?!percent)/, { 'spec.http[0].fault.delay.percentage.value': 1 }],
  [/fault\.abort\.(?!percent)/, { 'spec.http[0].fault.abort.percentage.value': 1 }],
  [/mirrorPercent/, { 'spec.http[0].mirror': { host: 'b.test' } }],
  [/http\[\]\.(redirect|directResponse|delegate)/, { 'spec.http[0].route': undefined }],
  [/directResponse\.body/, { 'spec.http[0].directResponse.status': 200 }],
  [/spec\.workloadSelector\.labels/, { 'spec.endpoints': undefined }],
  [/ource\.(not)?[sS]erviceAccounts|source\.(not)?[rRtP]/, { 'spec.rules[0].from[0].source.ipBlocks': undefined }],
  [/when\[\]\.key/, { 'spec.rules[0].when[0].values': ['a'] }],
  [/when\[\]\.(not)?[vV]alues/, { 'spec.rules[0].when[0].key': 'request.headers[x-a]' }],
  [/t(cp|ls)\[\]\.match/, { 'spec.tcp[0].route': [{ destination: { host: 'a.test' } }], 'spec.tls[0].route': [{ destination: { host: 'a.test' } }], 'spec.tls[0].match': [{ sniHosts: ['a.test'] }] }],
  [/tls\[\]\.route/, { 'spec.tls[0].match': [{ sniHosts: ['a.test'] }] }],
  [/spec\.(type|externalName)/, { 'spec.type': 'ExternalName', 'spec.externalName': 'a.test' }],
];

function set(object: Data, path: string, value: unknown): void {
  const steps = parsePath(path);
  let at = object;
  steps.slice(0, -1).forEach((step, index) => (at = (at[step] ??= typeof steps[index + 1] === 'number' ? [] : {}) as Data));
  const last = steps.at(-1)!;
  if (value === undefined) delete at[last];
  else at[last] = value;
}

function normalize(object: Data) {
  const registry = new KindRegistry(builtinKinds, defaultMeshSettings);
  const file = parseConfigFile('f', stringify(object), 'test');
  expect(file.problems).toEqual([]);
  return registry.normalize(registry.inNamespace(file.objects[0]!)).problems;
}

function withExample(base: string, { path, example }: { path: string; example: unknown }): Data {
  const object = parse(base) as Data;
  for (const [pattern, patch] of beside) if (pattern.test(path)) for (const [field, value] of Object.entries(patch)) set(object, field, value);
  set(object, path.replaceAll('[]', '[0]'), example);
  return object;
}

describe.each(sections)('docs/configuration.md, $kind:', ({ kind, base, rows }) => {
  it('is about an object that is valid as it stands', () => expect(normalize(parse(base) as Data)).toEqual([]));

  it.each(rows)('$path is $status', (row) => {
    const problems = normalize(withExample(base, row));
    const worst = problems.find(({ severity }) => severity === 'error') ?? problems[0];
    if (row.status === 'implemented') return expect(problems).toEqual([]);
    expect(worst).toMatchObject({ severity: row.status === 'refused' ? 'error' : 'warning', field: expect.stringContaining(row.path.replaceAll('[]', '[0]')) as string });
  });

  it('has a row for every field that is read', () => {
    const read = new Set<string>();
    const raw = Fields.prototype.raw;
    const spy = vi.spyOn(Fields.prototype, 'raw').mockImplementation(function (this: Fields, name: string) {
      // Keys of maps are the user's own; the object's frame belongs to every kind.
      if (this.path !== '' || kind === 'EndpointSlice') read.add(joinPath(this.path, name).replaceAll(/\[\d+\]/g, '[]'));
      return raw.call(this, name);
    });
    for (const row of rows) normalize(withExample(base, row));
    spy.mockRestore();
    const below = (path: string, other: string) => path.startsWith(other) && /^[.[]/.test(path.slice(other.length));
    // A row stands for what is in it where no other row says more.
    const leaf = (path: string) => !rows.some((row) => below(row.path, path));
    const documented = (path: string) => rows.some((row) => row.path === path || below(row.path, path) || (leaf(row.path) && below(path, row.path)));
    expect([...read].filter((path) => !/^(metadata|apiVersion|kind|status$)/.test(path) && !documented(path))).toEqual([]);
  });
});
