// `cluster_type`: kinds of clusters that Envoy has as extensions.
import { AggregateClusterConfigSchema, type Cluster_CustomClusterType } from '@weft/xds-api/cluster';
import type { ClusterConfig } from './cluster-config.js';
import { knownFields, type Report } from './report.js';
import { typeNameOf, unpack } from './value.js';

const aggregateFields = knownFields(AggregateClusterConfigSchema, ['clusters']);
const path = 'cluster_type.typed_config';

/** By the type of its configuration; the name is the user's to choose, as for Envoy's extensions. */
export function decodeCustomType({ name, typedConfig }: Cluster_CustomClusterType, report: Report): ClusterConfig['type'] | undefined {
  if (!typedConfig) {
    report.add(path, 'is required');
    return undefined;
  }
  switch (typeNameOf(typedConfig)) {
    case AggregateClusterConfigSchema.typeName: {
      const aggregate = unpack(typedConfig, AggregateClusterConfigSchema, path, report);
      if (!aggregate) return undefined;
      report.check(aggregateFields, aggregate, path);
      if (aggregate.clusters.length === 0) report.add(`${path}.clusters`, 'must name a cluster');
      return { kind: 'aggregate', clusters: aggregate.clusters };
    }
    default:
      report.add('cluster_type', `${JSON.stringify(name)} is not supported`);
      return undefined;
  }
}
