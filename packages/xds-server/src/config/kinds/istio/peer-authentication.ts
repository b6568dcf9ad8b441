import type { MtlsMode } from '../../../model/peer-policy.js';
import type { ConfigKind } from '../../config-kind.js';
import type { Fields } from '../../fields.js';
import { modelBase, readMatchLabels } from '../../names.js';
import { istioVersions, readSpec, security } from './api.js';

const modes = ['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'] as const;

/** PeerAuthentication (istio-envoy.md 1.3): whether workloads take plain text. */
export const peerAuthentication: ConfigKind = {
  group: security,
  kind: 'PeerAuthentication',
  versions: istioVersions,
  namespaced: true,
  normalize(object, context) {
    const spec = readSpec(object, context, { optional: true });
    const selector = readMatchLabels(spec, 'selector');
    const mode = readMode(spec.object('mtls'));
    const ports: Record<number, MtlsMode | undefined> = {};
    const levels = spec.object('portLevelMtls');
    for (const port of levels?.keys() ?? []) {
      if (!/^[1-9]\d{0,4}$/.test(port) || Number(port) > 65535) levels!.error(port, 'is not a port number');
      ports[Number(port)] = readMode(levels!.object(port));
    }
    spec.finish();
    if (levels && levels.keys().length > 0 && !selector) spec.error('portLevelMtls', 'needs a selector: ports are those of workloads');
    if (selector && object.metadata.namespace === context.rootNamespace) {
      spec.warn('selector', `selects nothing: in ${context.rootNamespace} only the policy of the whole mesh counts`);
    }
    return [{ ...modelBase(object), type: 'peer-policy', ports, ...(selector && { selector }), ...(mode && { mode }) }];
  },
};

/** Undefined = inherits. */
function readMode(fields: Fields | undefined): MtlsMode | undefined {
  const mode = fields?.oneOf('mode', modes);
  fields?.finish();
  return mode === undefined || mode === 'UNSET' ? undefined : (mode.toLowerCase() as MtlsMode);
}
