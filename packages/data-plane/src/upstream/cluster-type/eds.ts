import { noEndpoints, type ClusterType } from './cluster-type.js';

/** Endpoints from the control plane. A resource that does not exist is a cluster without hosts, not one to wait for. */
export const eds: ClusterType = {
  kinds: ['eds'],
  start(config, sink, { xds, endpointType, logger }) {
    if (config.type.kind !== 'eds') throw new TypeError(`not an EDS cluster: ${config.name}`);
    const subscription = xds.watch(endpointType, config.type.serviceName || config.name, {
      onResource: (endpoints) => sink.onEndpoints(endpoints),
      onAbsent: (reason) => {
        logger.warn({ cluster: config.name, reason: reason.message }, 'the endpoints of a cluster do not exist');
        sink.onEndpoints(noEndpoints(config));
      },
      onError: (error) => sink.onError(error),
    });
    return subscription;
  },
};
