// For tests: a real model of some objects, a client of it, and what a profile makes, as canonical JSON.
import { fromBinary, toJson, type JsonValue } from '@weft/xds-api/protobuf';
import { allTypes } from '@weft/xds-api/registry';
import { MeshModel } from '../model/mesh-model.js';
import type { MeshSettings } from '../model/mesh-reader.js';
import type { ModelObject } from '../model/model-object.js';
import { noLocality } from '../model/workload.js';
import type { GenerateContext, NodeFacets, Profile, ResourceType } from './generator.js';

export interface TestContext extends GenerateContext {
  warnings: string[];
  /** Facets of the node that were read. */
  facets: Set<string>;
  dependencies: Set<string>;
}

export interface TestMesh {
  settings?: Partial<MeshSettings>;
  node?: Partial<NodeFacets>;
  authorities?: readonly string[];
}

export function contextOf(objects: readonly ModelObject[], mesh: TestMesh = {}): TestContext {
  const model = new MeshModel(mesh.settings);
  model.replace('test', objects);
  return contextOfModel(model, mesh);
}

export function contextOfModel(model: MeshModel, { node, authorities = [] }: Omit<TestMesh, 'settings'> = {}): TestContext {
  const warnings: string[] = [];
  const facets = new Set<string>();
  const dependencies = new Set<string>();
  const values: NodeFacets = {
    namespace: 'default', workload: '', serviceAccount: 'default', labels: {}, locality: noLocality, addresses: [], hasIdentity: true, portOffset: 0, userAgent: '', id: 'test', ...node,
  };
  return {
    model: model.reader((dependency) => void dependencies.add(dependency)),
    node: new Proxy(values, {
      get(target, name) {
        facets.add(String(name));
        return Reflect.get(target, name) as unknown;
      },
    }),
    authorities: () => authorities,
    warn: (reason) => void warnings.push(reason),
    warnings,
    facets,
    dependencies,
  };
}

// Test access to nested JSON without a type for every message.
// oxlint-disable-next-line typescript/no-explicit-any
export type Json = any;

export function generateJson(profile: Profile, type: ResourceType, name: string, context: GenerateContext): Json {
  const resource = profile.generate(type, name, context);
  if (resource === undefined) return undefined;
  const schema = allTypes().getMessage(resource.typeUrl.slice('type.googleapis.com/'.length));
  if (schema === undefined) throw new Error(`no such type: ${resource.typeUrl}`);
  return toJson(schema, fromBinary(schema, resource.value), { registry: allTypes() }) as JsonValue;
}
