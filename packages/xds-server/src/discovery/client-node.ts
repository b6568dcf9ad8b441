// What a client says about itself in the first request of its stream. All of it is a claim: node-auth.ts checks it.
import type { Node } from '@weft/xds-api/core';
import { isIP } from 'node:net';
import type { ProfileName } from '../generate/generator.js';
import { noLocality, type Locality } from '../model/workload.js';

export interface ClientNode {
  readonly id: string;
  readonly profile: ProfileName;
  readonly userAgent: string;
  /** With its version, for people. */
  readonly userAgentVersion: string;
  readonly namespace: string;
  /** AUTO_REGISTER_GROUP: the WorkloadGroup it wants to be an instance of. */
  readonly group: string | undefined;
  /** WORKLOAD_NAME: the workload whose configuration it wants, without registering (`weft bootstrap`). */
  readonly workloadName: string | undefined;
  /** INSTANCE_IPS, else the address inside the node id. */
  readonly addresses: readonly string[];
  readonly locality: Locality;
  /** gRPC: whether its bootstrap declares the certificate provider `default`. */
  readonly certificateProvider: boolean;
  readonly portOffset: number;
}

export function readNode(node: Node): ClientNode {
  const metadata = (node.metadata ?? {}) as Readonly<Record<string, unknown>>;
  const text = (key: string) => (typeof metadata[key] === 'string' ? metadata[key].trim() : '');
  // sidecar~IP~NAME.NAMESPACE~NAMESPACE.svc.DOMAIN, as Istio's agents and ours write it.
  const [, ip = '', name = ''] = node.id.split('~');
  const addresses = text('INSTANCE_IPS').split(',').map((address) => address.trim()).filter((address) => isIP(address) !== 0);
  const offset = Number(metadata['WEFT_PORT_OFFSET'] ?? 0);
  const { region = '', zone = '', subZone = '' } = node.locality ?? noLocality;
  return {
    id: node.id,
    profile: profileOf(node.userAgentName, text('GENERATOR')),
    userAgent: node.userAgentName,
    userAgentVersion: node.userAgentVersionType.case === 'userAgentVersion' ? node.userAgentVersionType.value : '',
    namespace: text('NAMESPACE') || name.slice(name.lastIndexOf('.') + 1) || 'default',
    group: text('AUTO_REGISTER_GROUP') || undefined,
    workloadName: text('WORKLOAD_NAME') || undefined,
    addresses: addresses.length > 0 ? addresses : [ip].filter((address) => isIP(address) !== 0),
    locality: { region, zone, subZone },
    certificateProvider: text('WEFT_CERT_PROVIDERS').split(',').includes('default'),
    portOffset: Number.isInteger(offset) && Math.abs(offset) < 65_536 ? offset : 0,
  };
}

function profileOf(userAgent: string, generator: string): ProfileName {
  if (userAgent === 'weft') return 'weft';
  return generator === 'grpc' || userAgent.startsWith('gRPC') ? 'grpc' : 'envoy';
}

/** What of a node's description is more than any honest client writes. All of it is kept as long as the stream, some of it stored. */
export function excessOf({ id, namespace, group = '', workloadName = '', userAgent, userAgentVersion, addresses, locality }: ClientNode): string | undefined {
  const limits = { id: [id, 1024], NAMESPACE: [namespace, 63], AUTO_REGISTER_GROUP: [group, 253], WORKLOAD_NAME: [workloadName, 253], 'user agent': [userAgent + userAgentVersion, 512], locality: [locality.region + locality.zone + locality.subZone, 512] } as const;
  for (const [what, [text, limit]] of Object.entries(limits)) if (text.length > limit) return `node: ${what} has ${text.length} characters; at most ${limit} are allowed`;
  return addresses.length > 64 ? `node: INSTANCE_IPS names ${addresses.length} addresses; at most 64 are allowed` : undefined;
}
