import type { Workload } from '../../../model/workload.js';
import type { ConfigKind } from '../../config-kind.js';
import { Fields } from '../../fields.js';
import { modelBase } from '../../names.js';
import { parseLocality } from '../istio/workload-fields.js';

/** Pod: labels, service account and container ports of an instance. */
export const pod: ConfigKind = {
  group: '',
  kind: 'Pod',
  versions: ['v1'],
  namespaced: true,
  normalize(object, context) {
    const spec = new Fields(object.body['spec'] ?? {}, 'spec', context);
    const status = new Fields(object.body['status'] ?? {}, 'status', context);
    const { labels } = object.metadata;
    const address = status.string('podIP');
    const phase = status.string('phase');
    // Not placed yet, or over: there is nothing to send traffic to.
    if (!address || phase === 'Succeeded' || phase === 'Failed') return [];
    const ready = status.list('conditions').find((condition) => condition.string('type') === 'Ready');
    const account = spec.string('serviceAccountName') ?? spec.string('serviceAccount') ?? 'default';
    const result: Workload = {
      ...modelBase(object),
      type: 'workload',
      address,
      ports: readPorts(spec),
      labels,
      locality: parseLocality(labels['istio-locality']?.replaceAll('.', '/') ?? ''),
      health: ready === undefined || ready.string('status') === 'True' ? 'healthy' : 'unhealthy',
      via: 'pod',
    };
    // Istio's label for workloads outside the mesh: they have an account, but no certificate of it.
    return [labels['security.istio.io/tlsMode'] === 'disabled' ? result : { ...result, serviceAccount: account }];
  },
};

function readPorts(spec: Fields): Record<string, number> {
  const ports: Record<string, number> = {};
  for (const container of [...spec.list('initContainers'), ...spec.list('containers')]) {
    for (const fields of container.list('ports')) {
      const name = fields.string('name');
      const port = fields.port('containerPort');
      if (name && port !== undefined) ports[name] ??= port;
    }
  }
  return ports;
}
