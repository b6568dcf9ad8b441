import type { Subset, TrafficPolicyRule } from '../../../model/traffic-policy.js';
import type { ConfigKind } from '../../config-kind.js';
import type { Fields } from '../../fields.js';
import { hostProblem, modelBase, readExportTo, readMatchLabels, resolveHost } from '../../names.js';
import { istioVersions, networking, readSpec } from './api.js';
import { readTrafficPolicy } from './traffic-policy.js';

/** DestinationRule (istio-envoy.md 1.2): how clients treat a host. */
export const destinationRule: ConfigKind = {
  group: networking,
  kind: 'DestinationRule',
  versions: istioVersions,
  namespaced: true,
  normalize(object, context) {
    const spec = readSpec(object, context);
    const { namespace } = object.metadata;
    const host = spec.requiredString('host');
    const problem = host && host !== '*' && hostProblem(host);
    if (problem) spec.error('host', problem);
    const rule: TrafficPolicyRule = {
      ...modelBase(object),
      type: 'traffic-policy',
      host: resolveHost(host, namespace, context),
      exportTo: readExportTo(spec, namespace),
      workloadSelector: readMatchLabels(spec, 'workloadSelector') ?? {},
      policy: readTrafficPolicy(spec.object('trafficPolicy')),
      subsets: readSubsets(spec),
    };
    spec.finish();
    return [rule];
  },
};

function readSubsets(spec: Fields): Subset[] {
  const names = new Set<string>();
  return spec.list('subsets').map((fields) => {
    const name = fields.requiredString('name');
    // It becomes part of cluster names (`outbound|80|v1|host`) and of the SNI.
    if (name && !/^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/.test(name)) fields.error('name', `${JSON.stringify(name)} may only have letters, digits, -, _ and .`);
    if (names.has(name)) fields.error('name', `the subset ${name} exists already`);
    names.add(name);
    const subset = { name, labels: fields.labels('labels'), policy: readTrafficPolicy(fields.object('trafficPolicy')) };
    fields.finish();
    return subset;
  });
}
