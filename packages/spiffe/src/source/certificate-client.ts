import { ChannelCredentials, makeGenericClientConstructor, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { serviceDefinition } from '@weft/xds-api';
import { IstioCertificateService, type IstioCertificateResponse } from '@weft/xds-api/istio';
import { createSecureContext } from 'node:tls';
import { isIP } from 'node:net';
import type { X509Svid } from '../x509-svid.js';
import { PeerVerificationError } from '../peer-verifier.js';
import { controlPlaneNameError, notTls, type HostPort } from './first-contact.js';

const definition = serviceDefinition(IstioCertificateService);
const method = definition.createCertificate;
const CertificateClient = makeGenericClientConstructor({ createCertificate: method }, IstioCertificateService.typeName);
const deadlineMs = 10_000;

export interface CertificateCall {
  readonly server: HostPort;
  /** Roots of the control plane, PEM. The only ones believed. */
  readonly rootsPem: string;
  readonly csrPem: string;
  /** 0 = the authority's default. */
  readonly ttlSeconds: number;
  /** Who asks: a current SVID by mutual TLS, or a bearer token. */
  readonly svid?: X509Svid | undefined;
  readonly token?: string | undefined;
}

/**
 * Istio's CreateCertificate, once, on a connection of its own.
 * @returns the chain of PEM certificates, as sent.
 * @throws {@link PeerVerificationError} when the server is not a control plane that our roots vouch for, else a ServiceError.
 */
export async function createCertificate({ server, rootsPem, csrPem, ttlSeconds, svid, token }: CertificateCall, signal: AbortSignal): Promise<string[]> {
  const secureContext = createSecureContext({ ca: rootsPem, minVersion: 'TLSv1.3', ...(svid && { cert: svid.chainPem, key: svid.keyPem }) });
  let refused: Error | undefined;
  const credentials = ChannelCredentials.createFromSecureContext(secureContext, {
    checkServerIdentity: (_name, certificate) => (refused = controlPlaneNameError(server.host, certificate)),
  });
  const target = isIP(server.host) === 6 ? `ipv6:[${server.host}]:${server.port}` : isIP(server.host) === 4 ? `ipv4:${server.host}:${server.port}` : `dns:${server.host}:${server.port}`;
  // An IP address is no SNI (Node warns); the name that is checked is the dialled host in any case.
  const client = new CertificateClient(target, credentials, isIP(server.host) === 0 ? {} : { 'grpc.ssl_target_name_override': 'control-plane' });
  const metadata = new Metadata();
  let cancel = (): void => undefined;
  const abort = () => cancel();
  signal.throwIfAborted();
  signal.addEventListener('abort', abort, { once: true });
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  try {
    return await new Promise<string[]>((resolve, reject) => {
      const request = { csr: csrPem, validityDuration: BigInt(ttlSeconds) } as Parameters<typeof method.requestSerialize>[0];
      const call = client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        metadata,
        { deadline: Date.now() + deadlineMs },
        (error: ServiceError | null, response?: IstioCertificateResponse) => (error ? reject(refused ?? untrusted(error) ?? notTls(error.details, server) ?? error) : resolve(response?.certChain ?? [])),
      );
      cancel = () => call.cancel();
    });
  } finally {
    signal.removeEventListener('abort', abort);
    client.close();
  }
}

/**
 * grpc-js reports a chain that does not verify as UNAVAILABLE, like a host that is down; only its text tells them apart. Expiry is
 * left out: a control plane that was away for long renews its own certificate when it is back.
 */
function untrusted(error: ServiceError): PeerVerificationError | undefined {
  const match = /self[- ]signed certificate|unable to (?:get|verify)[\w ]*certificate|certificate signature failure|invalid CA certificate/i.exec(error.details);
  return match ? new PeerVerificationError(`our root certificates do not vouch for the control plane: ${match[0]}`, { cause: error }) : undefined;
}

/** Whether asking again with the same token would get the same refusal. */
export function isRefusal(error: unknown): boolean {
  const { code } = error as Partial<ServiceError>;
  return code === status.UNAUTHENTICATED || code === status.PERMISSION_DENIED || code === status.INVALID_ARGUMENT;
}
