// What `weft generate` does: the resources one workload would get, in canonical JSON, loadable again as raw resources.
import { fromBinary, toJson, type JsonObject } from '@weft/xds-api/protobuf';
import { allTypes } from '@weft/xds-api/registry';
import { formatProblem, noLocality, profiles, ResourceGraph, resourceTypes, type MeshModel, type ModelObject, type NodeFacets, type ProfileName, type ResourceType, type Workload } from '@weft/xds-server';
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
  const types = type ? [type] : resourceTypes;
  const inbound = name === undefined ? undefined : parseInboundName(name);
  const shown = new Set<string>();
  if (!inbound) run(node);
  const instance = instanceOf(model, node, inbound);
  if (instance) {
    // Only now: nothing that is sent to clients may show an instance that does not exist.
    model.replace('weft generate', [instance]);
    run({ ...node, addresses: [instance.address] });
  } else if (inbound) run(node);
  return { resources, warnings };

  function run(facets: NodeFacets): void {
    for (const each of types) {
      const listed = name === undefined ? graph.names(profile, facets, each) : { names: [name], warnings: [] };
      listed.warnings.forEach((warning) => warnings.add(warning));
      for (const one of listed.names) {
        if (shown.has(`${each} ${one}`)) continue;
        shown.add(`${each} ${one}`);
        print(facets, each, one);
      }
    }
  }

  function print(facets: NodeFacets, each: ResourceType, one: string): void {
    const { resource, warnings: said } = graph.generate(profile, facets, each, one);
    said.forEach((warning) => warnings.add(warning));
    if (!resource) return;
    const schema = allTypes().getMessage(resource.typeUrl.slice(resource.typeUrl.lastIndexOf('/') + 1));
    if (!schema) throw new CliError(`no JSON form is known for ${resource.typeUrl}`);
    resources.push({ '@type': resource.typeUrl, ...(toJson(schema, fromBinary(schema, resource.value), { registry: allTypes() }) as JsonObject) });
  }
}
/** Of `weft/inbound/PORTNAME/IP:PORT` and `xds.istio.io/grpc/lds/inbound/IP:PORT`. */
function parseInboundName(name: string): { portName?: string; address: string; port: number } | undefined {
  const [, portName, bracketed, plain, port] = /^(?:weft\/inbound\/([^/]+)|xds\.istio\.io\/grpc\/lds\/inbound)\/(?:\[([^\]]+)\]|([^:[\]]+)):(\d+)$/.exec(name) ?? [];
  const address = bracketed ?? plain;
  return address === undefined ? undefined : { ...(portName !== undefined && { portName }), address, port: Number(port) };
}

/** A WorkloadGroup has no instance in the files, and without one no inbound listener: this is what one would register. */
function instanceOf(model: MeshModel, { namespace, workload }: NodeFacets, inbound: ReturnType<typeof parseInboundName>): Workload | undefined {
  const reader = model.reader(() => undefined);
  const group = reader.workloadGroup(namespace, workload);
  if (!group) return undefined;
  const name = `${workload}-instance`;
  const instance: Workload = {
    type: 'workload', key: `weft generate/${namespace}/${name}`, namespace, name, origin: group.origin, createdAt: 0, address: inbound?.address ?? '127.0.0.1', ports: group.ports,
    labels: group.labels, serviceAccount: group.serviceAccount, locality: group.locality, health: 'healthy', via: 'registration', group: `${namespace}/${workload}`,
  };
  const targets = reader.servicesOf(instance).flatMap(({ ports }) => ports).flatMap(({ name: port, targetPort }) => (typeof targetPort === 'number' ? [[port, targetPort] as const] : []));
  const asked = inbound ? [[inbound.portName ?? 'port', inbound.port] as const] : [];
  return { ...instance, boundPorts: { ...Object.fromEntries(targets), ...group.ports, ...Object.fromEntries(asked) } };
}

/** The WorkloadGroup of that name, else the Pod or WorkloadEntry. A workload that no file declares has the account `default` and no labels. */
export function facetsOf(model: MeshModel, { namespace, name }: NamespacedName): NodeFacets {
  const group = model.reader(() => undefined).workloadGroup(namespace, name);
  const isNamed = (object: ModelObject): object is Workload => object.type === 'workload' && object.namespace === namespace && object.name === name && object.via !== 'inline';
  const declared = group ?? [...model.objects()].find(isNamed);
  return {
    namespace,
    workload: name,
    serviceAccount: declared?.serviceAccount ?? 'default',
    labels: declared?.labels ?? {},
    locality: declared?.locality ?? noLocality,
    addresses: declared?.type === 'workload' ? [declared.address] : [],
    hasIdentity: true,
    portOffset: 0,
    userAgent: '',
    id: `weft~127.0.0.1~${name}.${namespace}~${namespace}.svc.cluster.local`,
  };
}
