// For tests: YAML through the file parser and the built-in kinds, without a pipeline.
import { parseConfigFile } from '../source/config-file.js';
import { defaultMeshSettings } from '../model/mesh-model.js';
import type { ModelObject } from '../model/model-object.js';
import { builtinKinds } from './builtin.js';
import { formatProblem } from './config-object.js';
import { KindRegistry } from './kind-registry.js';

export interface NormalizedText {
  objects: ModelObject[];
  /** `LINE:COL Kind NS/NAME: field: reason`. */
  problems: string[];
  errors: number;
}

export function normalizeText(text: string): NormalizedText {
  const registry = new KindRegistry(builtinKinds, defaultMeshSettings);
  const file = parseConfigFile('f', text, 'test');
  const results = file.objects.map((object) => registry.normalize(registry.inNamespace(object)));
  const problems = [...file.problems, ...results.flatMap((result) => result.problems)];
  return {
    objects: results.flatMap(({ objects = [] }) => [...objects]),
    problems: problems.map((problem) => formatProblem(problem).replace('f:', '')),
    errors: problems.filter(({ severity }) => severity === 'error').length,
  };
}

/** The only model object of one configuration object without problems. */
export function only<T extends ModelObject['type']>(type: T, text: string): Extract<ModelObject, { type: T }> {
  const { objects, problems } = normalizeText(text);
  if (problems.length > 0) throw new Error(problems.join('\n'));
  const [object] = objects;
  if (objects.length !== 1 || object?.type !== type) throw new Error(`gives ${JSON.stringify(objects)}`);
  return object as Extract<ModelObject, { type: T }>;
}

/** An object of a kind with this spec (flow YAML or indented lines). */
export function kindText(apiVersion: string, kind: string, spec: string, metadata = 'name: x'): string {
  return `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {${metadata}}\nspec: ${spec.includes('\n') ? `\n${spec.replace(/^/gm, '  ')}` : spec}\n`;
}
