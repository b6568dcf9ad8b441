import { isIP } from 'node:net';
import type { EndpointGroup } from '../../../model/workload.js';
import type { ConfigKind } from '../../config-kind.js';
import { Fields } from '../../fields.js';
import { modelBase } from '../../names.js';

/** EndpointSlice: which instances of a Service are ready. */
export const endpointSlice: ConfigKind = {
  group: 'discovery.k8s.io',
  kind: 'EndpointSlice',
  versions: ['v1', 'v1beta1'],
  namespaced: true,
  normalize(object, context) {
    const service = object.metadata.labels['kubernetes.io/service-name'];
    if (!service) {
      context.warn('metadata.labels', 'has no kubernetes.io/service-name: the slice belongs to no Service');
      return [];
    }
    const body = new Fields(object.body, '', context);
    const addressType = body.oneOf('addressType', ['IPv4', 'IPv6', 'FQDN']);
    if (addressType === 'FQDN') {
      body.warn('addressType', 'FQDN is not implemented: the slice is left out');
      return [];
    }
    const ports = body.list('ports').flatMap((fields): [string, number][] => {
      const port = fields.port('port');
      const transport = fields.oneOf('protocol', ['TCP', 'UDP', 'SCTP']) ?? 'TCP';
      return port === undefined || transport !== 'TCP' ? [] : [[fields.string('name') ?? '', port]];
    });
    const endpoints = body.list('endpoints').map((fields) => readEndpoint(fields, object.metadata.namespace));
    return [{ ...modelBase(object), type: 'endpoint-group', service, ports: Object.fromEntries(ports), endpoints }];
  },
};

function readEndpoint(fields: Fields, namespace: string): EndpointGroup['endpoints'][number] {
  const addresses = fields.strings('addresses');
  for (const address of addresses) if (!isIP(address)) fields.error('addresses', `${JSON.stringify(address)} is not an IP address`);
  const conditions = fields.object('conditions');
  const target = fields.object('targetRef');
  const pod = target?.string('kind') === 'Pod' ? target.string('name') : undefined;
  return {
    addresses,
    // Kubernetes: an unknown condition counts as ready.
    ready: conditions?.boolean('ready') ?? true,
    zone: fields.string('zone') ?? '',
    ...(pod && { pod: `${target?.string('namespace') ?? namespace}/${pod}` }),
  };
}
