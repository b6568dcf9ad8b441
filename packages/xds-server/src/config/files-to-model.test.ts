// File source, pipeline and model together, as the control plane runs them.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { MeshModel } from '../model/mesh-model.js';
import { FileSource } from '../source/file-source.js';
import { builtinKinds } from './builtin.js';
import { ConfigPipeline } from './config-pipeline.js';
import { formatProblem } from './config-object.js';

let folder: string;
let source: FileSource | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-config-'));
});

afterEach(async () => {
  await source?.close();
  await rm(folder, { recursive: true, force: true });
});

const service = 'apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { selector: { app: a }, ports: [{ name: http, port: 80 }] }\n';
const entry = (address: string) => `apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: { name: w }\nspec: { address: ${address}, labels: { app: a } }\n`;
const route = (field: string) => `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: r }\nspec:\n  hosts: [a]\n  http:\n    - ${field}: 2s\n      route: [{ destination: { host: a } }]\n`;

it('an edit reaches the model, a mistake is reported by place and changes nothing, its repair counts', async () => {
  const path = join(folder, 'mesh.yaml');
  await writeFile(path, [service, entry('10.0.0.1'), route('timeout')].join('---\n'));
  const model = new MeshModel();
  const pipeline = new ConfigPipeline({ kinds: builtinKinds, model });
  source = new FileSource([folder], { debounceMs: 10, confirmMs: 50 });
  await source.start(pipeline);
  const reader = model.reader(() => {});
  const state = () => {
    const found = reader.resolve('a', 'default')!;
    return [reader.endpoints(found, found.ports[0]!).map(({ address }) => address).join(), reader.routeRule(found.host, 'default')?.http[0]?.timeoutMs];
  };
  expect(state()).toEqual(['10.0.0.1', 2000]);
  expect(pipeline.problems()).toEqual([]);

  const changed: string[] = [];
  model.onChange(({ dependencies }) => changed.push(...dependencies));
  await writeFile(path, [service, entry('10.0.0.2'), route('timeuot')].join('---\n'));
  await vi.waitFor(() => expect(state()).toEqual(['10.0.0.2', 2000]));
  expect(pipeline.problems().map(formatProblem)).toEqual([`${path}:17:7 VirtualService default/r: spec.http[0].timeuot: is not a known field`]);
  expect(changed.toSorted()).toEqual(['endpoints/a.default.svc.cluster.local', 'workload/default/10.0.0.1', 'workload/default/10.0.0.2']);

  await writeFile(path, [service, entry('10.0.0.2'), route('timeout').replace('2s', '3s')].join('---\n'));
  await vi.waitFor(() => expect(state()).toEqual(['10.0.0.2', 3000]));
  expect(pipeline.problems()).toEqual([]);
});
