// Who is at the other end of a stream, and whether it may be the node it says it is.
import { status, type ServerDuplexStream } from '@grpc/grpc-js';
import { peerName } from '@weft/spiffe';
import { X509Certificate } from 'node:crypto';
import type { WorkloadGroup } from '../model/workload.js';
import type { ClientNode } from './client-node.js';

/** A client with a verified SVID. */
export interface CallerIdentity {
  readonly spiffeId: string;
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
  /** Which of its certificates it showed, and by whom issued: operators follow rotations with it. */
  readonly certificate: { readonly serialNumber: string; readonly issuer: string };
}

/** Ends a stream with a status and a reason for the client. */
export class StreamRefused extends Error {
  readonly code: status;
  constructor(code: status, reason: string) {
    super(reason);
    this.name = 'StreamRefused';
    this.code = code;
  }
}

/**
 * The caller on the TLS port. grpc-js gives a certificate only where the handshake verified it.
 * @throws {@link StreamRefused} where there is none, or it is no SVID of this mesh in Istio's form.
 */
export function authenticate(call: Pick<ServerDuplexStream<unknown, unknown>, 'getAuthContext'>, trustDomain: string): CallerIdentity {
  const raw = call.getAuthContext()?.sslPeerCertificate?.raw;
  if (!raw) throw new StreamRefused(status.UNAUTHENTICATED, 'a client certificate of this mesh is required');
  const leaf = new X509Certificate(raw);
  let id;
  try {
    id = peerName(leaf);
  } catch (error) {
    throw new StreamRefused(status.UNAUTHENTICATED, `client certificate: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { namespace, serviceAccount } = id;
  if (id.trustDomain !== trustDomain) throw new StreamRefused(status.PERMISSION_DENIED, `${id} is not of trust domain ${trustDomain}`);
  if (namespace === undefined || serviceAccount === undefined) throw new StreamRefused(status.PERMISSION_DENIED, `${id} does not name a service account (spiffe://TD/ns/NS/sa/SA)`);
  return { spiffeId: id.toString(), trustDomain: id.trustDomain, namespace, serviceAccount, notAfter: leaf.validToDate.getTime(), certificate: { serialNumber: leaf.serialNumber, issuer: leaf.issuer } };
}

/**
 * Checks a node's claims against its identity. Visibility and registration follow from them, so a claim of another's namespace
 * or WorkloadGroup must end the stream. The group may not exist (yet): then nothing is granted for it.
 * @throws {@link StreamRefused}
 */
export function authorize(caller: CallerIdentity, node: ClientNode, group: WorkloadGroup | undefined): void {
  if (caller.namespace !== node.namespace) {
    throw new StreamRefused(status.PERMISSION_DENIED, `node ${node.id} claims namespace ${node.namespace}, its identity is ${caller.spiffeId}`);
  }
  if (group && group.serviceAccount !== caller.serviceAccount) {
    throw new StreamRefused(
      status.PERMISSION_DENIED,
      `WorkloadGroup ${group.namespace}/${group.name} is for service account ${group.serviceAccount}, the identity of node ${node.id} is ${caller.spiffeId}`,
    );
  }
}
