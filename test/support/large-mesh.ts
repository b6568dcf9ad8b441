// A mesh of many services without files: the configuration objects a source would deliver.
import { builtinKinds, ConfigPipeline, MeshModel, noLocality, type ConfigObject, type NodeFacets } from '@weft/xds-server';

export function configObject(apiVersion: string, kind: string, name: string, body: Record<string, unknown>, namespace = 'default'): ConfigObject {
  const [group, version] = apiVersion.includes('/') ? (apiVersion.split('/') as [string, string]) : ['', apiVersion];
  const metadata = { name, namespace, labels: {}, annotations: {} };
  return { group, version, kind, metadata, body: { apiVersion, kind, metadata, ...body }, source: 'test', position: () => undefined };
}

/** Service `svc-INDEX` with two endpoints; `last` is the last byte of the second one's address. */
export function serviceEntry(index: number, last = 2): ConfigObject {
  const subnet = `10.${(index >> 8) & 255}.${index & 255}`;
  return configObject('networking.istio.io/v1', 'ServiceEntry', `svc-${index}`, {
    spec: {
      hosts: [`svc-${index}.test`],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      endpoints: [{ address: `${subnet}.1` }, { address: `${subnet}.${last}` }],
    },
  });
}

export function largeMesh(services: number): { model: MeshModel; pipeline: ConfigPipeline } {
  const model = new MeshModel();
  const pipeline = new ConfigPipeline({ kinds: builtinKinds, model });
  for (let index = 0; index < services; index += 1) pipeline.replace(`service-${index}`, [serviceEntry(index)], []);
  return { model, pipeline };
}

export function node(name: string): NodeFacets {
  return { namespace: 'default', workload: name, serviceAccount: 'default', labels: {}, locality: noLocality, addresses: [], hasIdentity: true, portOffset: 0, userAgent: 'weft', id: name };
}
