import type { ClusterType } from './cluster-type.js';

/** Endpoints stand in the cluster. */
export const staticCluster: ClusterType = {
  kinds: ['static'],
  start(config, sink) {
    if (config.type.kind !== 'static') throw new TypeError(`not a static cluster: ${config.name}`);
    sink.onEndpoints(config.type.assignment);
    return { close: () => undefined };
  },
};
