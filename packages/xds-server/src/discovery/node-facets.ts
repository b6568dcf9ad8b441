import type { NodeFacets } from '../generate/generator.js';
import type { ResourceGraph } from '../generate/resource-graph.js';
import type { Watch } from '../generate/resource-graph-memo.js';
import type { Workload, WorkloadGroup } from '../model/workload.js';
import type { ClientNode } from './client-node.js';
import type { CallerIdentity } from './node-auth.js';

/** What the model says about a node: its WorkloadGroup, or the Pod or WorkloadEntry at its address. Watched while the stream lives. */
export interface NodeTemplate {
  group(): WorkloadGroup | undefined;
  facets(): NodeFacets;
  close(): void;
}

export function nodeTemplate(graph: ResourceGraph, node: ClientNode, caller: CallerIdentity | undefined, onChange: () => void): NodeTemplate {
  const { namespace, addresses } = node;
  const groupWatch = (name: string | undefined): Watch<WorkloadGroup | undefined> | undefined =>
    name === undefined ? undefined : graph.observe(`group/${namespace}/${name}`, (model) => model.workloadGroup(namespace, name), onChange);
  const group = groupWatch(node.group);
  const named = group ? undefined : groupWatch(node.workloadName);
  /** Anybody may claim an address or a name, so what it gives is taken only by the service account that the workload runs as. */
  const account = caller?.serviceAccount;
  const runsAs = (workload: { readonly serviceAccount?: string } | undefined) => workload && (account === undefined || workload.serviceAccount === account);
  const declares = (workload: Workload) => isDeclared(workload) && runsAs(workload) === true;
  const workloads = group
    ? []
    : addresses.map((address) =>
        graph.observe(`workload/${namespace}/${address}/${account ?? ''}`, (model) => model.workloadsByAddress(namespace, address).find(declares), onChange),
      );

  return {
    group: () => group?.current(),
    facets: () => {
      const byName = named?.current();
      const template = group?.current() ?? (runsAs(byName) ? byName : undefined) ?? workloads.map((watch) => watch.current()).find((workload) => workload !== undefined);
      const { region, zone, subZone } = template?.locality ?? node.locality;
      return {
        namespace,
        workload: template?.name ?? '',
        serviceAccount: caller?.serviceAccount ?? template?.serviceAccount ?? 'default',
        labels: template?.labels ?? {},
        locality: region || zone || subZone ? { region, zone, subZone } : node.locality,
        addresses,
        hasIdentity: node.profile === 'grpc' ? node.certificateProvider : caller !== undefined,
        portOffset: node.portOffset,
        userAgent: node.userAgent,
        id: node.id,
      };
    },
    close: () => {
      group?.close();
      named?.close();
      for (const watch of workloads) watch.close();
    },
  };
}

/** A registration got its labels from a group that the stream which made it names; others at that address must not inherit them. */
function isDeclared(workload: Workload): boolean {
  return workload.via !== 'registration';
}
