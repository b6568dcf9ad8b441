import type { EndpointConfig } from '../../resource/cluster-config.js';
import { noEndpoints, type ClusterType } from './cluster-type.js';

/** Hosts are those that requests named (envoy.clusters.dynamic_forward_proxy): filter/http/dynamic-forward-proxy.ts brings them into the cache. */
export const dynamicForwardProxy: ClusterType = {
  kinds: ['dynamic-forward-proxy'],
  start(config, sink, { dnsCaches }) {
    const { name, type } = config;
    if (type.kind !== 'dynamic-forward-proxy') throw new TypeError(`not a dynamic forward proxy: ${name}`);
    if (!dnsCaches) throw new Error(`cluster ${name}: there are no DNS caches here`);
    const cache = dnsCaches.get(type.cache);
    const secure = config.transportSockets.some(({ tls }) => tls !== undefined);
    const use = { defaultPort: secure ? 443 : 80 };
    cache.clusters.set(name, use);
    const update = () => {
      const endpoints = [...cache.hosts()].flatMap(({ key, host, port, addresses: [address, ...others] }): EndpointConfig[] =>
        address === undefined
          ? []
          : [{ address, port, logicalName: key, hostname: host, weight: 1, health: 'healthy', metadata: {}, identityMissing: false, ...(others.length > 0 && { additionalAddresses: others.map((other) => ({ address: other, port })) }) }]);
      sink.onEndpoints({ ...noEndpoints(config), localities: [{ region: '', zone: '', subZone: '', weight: 1, priority: 0, endpoints }] });
    };
    const unsubscribe = cache.subscribe(update);
    update();
    return {
      close() {
        unsubscribe();
        if (cache.clusters.get(name) === use) cache.clusters.delete(name);
      },
    };
  },
};
