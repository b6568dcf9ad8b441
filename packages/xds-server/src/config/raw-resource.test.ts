import { fromBinary } from '@weft/xds-api/protobuf';
import { ClusterSchema } from '@weft/xds-api/cluster';
import { expect, it } from 'vitest';
import { normalizeText } from './testing.js';

const cluster = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';
const file = (...resources: object[]) => JSON.stringify({ resources });

it('raw resources are encoded as they are, Any values inside them too', () => {
  const tls = { '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', sni: 'a' };
  const { objects, problems } = normalizeText(file({ '@type': cluster, name: 'a', connectTimeout: '1.5s', transportSocket: { name: 'tls', typedConfig: tls } }, { '@type': 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment', clusterName: 'b' }));
  expect(problems).toEqual([]);
  const [first, second] = objects;
  if (first?.type !== 'raw-resource' || second?.type !== 'raw-resource') throw new Error('not raw');
  expect([first.typeUrl, first.resourceName, first.origin, second.resourceName]).toEqual([cluster, 'a', 'Cluster a', 'b']);
  const decoded = fromBinary(ClusterSchema, first.value);
  expect(decoded.connectTimeout).toMatchObject({ seconds: 1n, nanos: 500_000_000 });
  expect(decoded.transportSocket?.configType).toMatchObject({ value: { typeUrl: tls['@type'] } });
});

it.each([
  [{ '@type': cluster, name: 'a', conectTimeout: '1s' }, /resources\[1\].*conectTimeout.*unknown/],
  [{ '@type': cluster, name: 'a', connectTimeout: 'soon' }, /resources\[1\].*connect_timeout|resources\[1\].*Duration/],
  [{ '@type': 'type.googleapis.com/envoy.None', name: 'a' }, /resources\[1\].*envoy\.None/],
])('one that cannot be read is refused by file and index (%#)', (resource, reason) => {
  const { objects, problems } = normalizeText(file({ '@type': cluster, name: 'good' }, resource));
  expect(objects).toHaveLength(1);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(reason);
  expect(problems[0]).toMatch(/^1:\d+ Resource /);
});
