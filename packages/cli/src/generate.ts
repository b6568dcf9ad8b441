// What `weft generate` does: the resources one workload would get, in canonical JSON, loadable again as raw resources.
import { fromBinary, toJson, type JsonObject } from '@bufbuild/protobuf';
import { allTypes } from '@weft/xds-api/registry';
import { formatProblem, noLocality, profiles, ResourceGraph, resourceTypes, type MeshModel, type NodeFacets, type ProfileName, type ResourceType } from '@weft/xds-server';
import type { NamespacedName } from './arguments.js';
import { CliError } from './cli-error.js';
import { loadConfig } from './config.js';
import type { Output } from './output.js';

export interface GenerateOptions {
  config: readonly string[];
  workload: NamespacedName;
  profile: ProfileName;
  type?: ResourceType;
  name?: string;
}

export async function printResources(options: GenerateOptions, output: Output): Promise<void> {
  const { model, problems } = await loadConfig(options.config);
  for (const problem of problems) output.stderr(`${formatProblem(problem)}\n`);
  const { resources, warnings } = generate(model, options);
  for (const warning of warnings) output.stderr(`warning: ${warning}\n`);
  if (options.name !== undefined && resources.length === 0) throw new CliError(`${options.type ?? 'resource'} ${options.name} does not exist for ${options.workload.namespace}/${options.workload.name}`);
  output.stdout(`${JSON.stringify({ resources }, undefined, 2)}\n`);
  if (problems.some(({ severity }) => severity === 'error')) throw new CliError('the configuration has errors; what is printed is what the rest of it means');
}

function generate(model: MeshModel, { workload, profile: profileName, type, name }: GenerateOptions) {
  const graph = new ResourceGraph({ model });
  const profile = profiles[profileName];
  const node = facetsOf(model, workload);
  const resources: JsonObject[] = [];
  const warnings = new Set<string>();
  for (const each of type ? [type] : resourceTypes) {
    const listed = name === undefined ? graph.names(profile, node, each) : { names: [name], warnings: [] };
    listed.warnings.forEach((warning) => warnings.add(warning));
    for (const one of listed.names) {
      const { resource, warnings: said } = graph.generate(profile, node, each, one);
      said.forEach((warning) => warnings.add(warning));
      if (!resource) continue;
      const schema = allTypes().getMessage(resource.typeUrl.slice(resource.typeUrl.lastIndexOf('/') + 1));
      if (!schema) throw new CliError(`no JSON form is known for ${resource.typeUrl}`);
      resources.push({ '@type': resource.typeUrl, ...(toJson(schema, fromBinary(schema, resource.value), { registry: allTypes() }) as JsonObject) });
    }
  }
  return { resources, warnings };
}

/** A workload that no file declares has the account `default` and no labels. */
function facetsOf(model: MeshModel, { namespace, name }: NamespacedName): NodeFacets {
  const group = model.reader(() => undefined).workloadGroup(namespace, name);
  return {
    namespace,
    workload: name,
    serviceAccount: group?.serviceAccount ?? 'default',
    labels: group?.labels ?? {},
    locality: group?.locality ?? noLocality,
    addresses: [],
    hasIdentity: true,
    portOffset: 0,
    userAgent: '',
    id: `weft~127.0.0.1~${name}.${namespace}~${namespace}.svc.cluster.local`,
  };
}
