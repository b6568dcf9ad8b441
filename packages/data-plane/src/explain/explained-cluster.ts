// Clusters as an explanation sees them: a request that has no host to go to is still explained.
import type { ClusterHandle, ClusterManager } from '../upstream/cluster-manager.js';
import { Host } from '../upstream/host.js';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';

/** Stands for an endpoint where there is none. */
export const noHost = '(no endpoint)';

const explained = new WeakMap<UpstreamCluster, UpstreamCluster>();

export function explainedClusters(clusters: ClusterManager): Pick<ClusterManager, 'acquire'> {
  return { acquire: (name) => withoutWantOfHosts(clusters.acquire(name)) };
}

function withoutWantOfHosts(handle: ClusterHandle): ClusterHandle {
  return {
    name: handle.name,
    get cluster() {
      return handle.cluster && explainedCluster(handle.cluster);
    },
    get state() {
      return handle.state;
    },
    get error() {
      return handle.error;
    },
    subscribe: (fn) => handle.subscribe(fn),
    release: () => handle.release(),
  };
}

function explainedCluster(cluster: UpstreamCluster): UpstreamCluster {
  let known = explained.get(cluster);
  if (known) return known;
  let placeholder: Host | undefined;
  const own: UpstreamCluster = {
    name: cluster.name,
    get config() {
      return cluster.config;
    },
    get usesHash() {
      return cluster.usesHash !== false;
    },
    choose(context) {
      const chosen = cluster.choose(context);
      if (chosen instanceof Host || chosen.flag !== 'UH') return chosen;
      return (placeholder ??= new Host(own, noHost, { address: noHost, port: 0, hostname: '', weight: 1, health: 'healthy', metadata: {}, identityMissing: false }));
    },
    // Nothing is sent, so nothing runs and nothing is learned: the next explanation must not depend on this one.
    begin() {},
    end() {},
    timedOut() {},
    beginConnection() {},
    endConnection() {},
    report() {},
    beginRetry: () => true,
    endRetry() {},
  };
  explained.set(cluster, (known = own));
  return known;
}
