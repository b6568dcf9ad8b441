import type { ClusterType } from './cluster-type.js';
import { dynamicForwardProxy } from './dynamic-forward-proxy.js';
import { eds } from './eds.js';
import { staticCluster } from './static.js';
import { dns } from './strict-dns.js';

export const builtinClusterTypes: readonly ClusterType[] = [eds, staticCluster, dns, dynamicForwardProxy];
