// The work of one changed endpoint in meshes of three sizes, in counts: 50 clients follow the service that changes.
import { builtinKinds, ConfigPipeline, MeshModel, noLocality, profiles, ResourceGraph } from '@weft/xds-server';

const subscribers = 50;

function serviceEntry(index, last = 2) {
  const metadata = { name: `svc-${index}`, namespace: 'default', labels: {}, annotations: {} };
  const subnet = `10.${(index >> 8) & 255}.${index & 255}`;
  const spec = {
    hosts: [`svc-${index}.test`],
    location: 'MESH_INTERNAL',
    resolution: 'STATIC',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    endpoints: [{ address: `${subnet}.1` }, { address: `${subnet}.${last}` }],
  };
  const apiVersion = 'networking.istio.io/v1';
  return { group: 'networking.istio.io', version: 'v1', kind: 'ServiceEntry', metadata, body: { apiVersion, kind: 'ServiceEntry', metadata, spec }, source: 'bench', position: () => undefined };
}

for (const services of [100, 1000, 10_000]) {
  const model = new MeshModel();
  const pipeline = new ConfigPipeline({ kinds: builtinKinds, model });
  for (let index = 0; index < services; index += 1) pipeline.replace(`service-${index}`, [serviceEntry(index)], []);
  const graph = new ResourceGraph({ model });
  const node = (id) => ({ namespace: 'default', workload: id, serviceAccount: 'default', labels: {}, locality: noLocality, addresses: [], hasIdentity: true, portOffset: 0, userAgent: 'weft', id });
  let bytes = 0;
  for (let client = 0; client < subscribers; client += 1) {
    for (const service of [0, 1 + client]) {
      const cluster = `outbound|80||svc-${service}.test`;
      const follow = (type, name) => {
        const subscription = graph.subscribe(profiles.weft, node(`client-${client}`), type, name, () => (bytes += subscription.current()?.value.length ?? 0));
      };
      follow('listener', `svc-${service}.test:80`);
      for (const type of ['route', 'cluster', 'endpoint']) follow(type, cluster);
    }
  }
  graph.flush();
  const before = { ...graph.stats };
  pipeline.replace('service-0', [serviceEntry(0, 3)], []);
  graph.flush();
  const { generatorRuns, notifications } = graph.stats;
  console.log(`  ${String(services).padStart(6)} services: ${generatorRuns - before.generatorRuns} generator runs, ${notifications - before.notifications} subscribers told, ${bytes} bytes to send`);
  graph.close();
}
