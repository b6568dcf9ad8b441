import { status, type Metadata, type sendUnaryData, type ServerUnaryCall, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { X509Certificate } from 'node:crypto';
import { peerName } from '@weft/spiffe';
import { serviceDefinition } from '@weft/xds-api';
import { IstioCertificateService, type IstioCertificateRequest, type IstioCertificateResponse } from '@weft/xds-api/istio';
import { AttestationRefused, type AttestationCall, type Attestor } from '../attestor/attestor.js';
import { TtlError, type CertificateAuthority } from '../certificate-authority.js';
import { NamesRefused } from '../csr-policy.js';
import { CsrError, readCsr } from '../csr-reader.js';
import { RateLimiter, type Limiter } from '../rate-limiter.js';

export interface IstioCertificateServiceOptions {
  readonly ca: CertificateAuthority;
  /** In the order in which they are asked; the first that knows the caller decides. */
  readonly attestors: readonly Attestor[];
  /** By identity, else by address. Default: 20 a second, 200 at once. */
  readonly limiter?: Limiter;
}

type Call = Pick<ServerUnaryCall<IstioCertificateRequest, IstioCertificateResponse>, 'request' | 'metadata' | 'getPeer' | 'getAuthContext'>;
type Answer = Pick<IstioCertificateResponse, 'certChain'>;

class Denied extends Error {
  readonly code: status;
  constructor(code: status, reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.code = code;
  }
}

/**
 * `istio.v1.auth.IstioCertificateService` for a grpc-js server: `server.addService(definition, implementation)`. The server must ask
 * for client certificates and not require them (MeshServerCredentials). Names come from the authenticated caller alone.
 */
export function istioCertificateService({ ca, attestors, limiter }: IstioCertificateServiceOptions): { definition: ReturnType<typeof serviceDefinition<typeof IstioCertificateService>>; implementation: UntypedServiceImplementation } {
  // Strangers must not be able to push the record of what was issued out of a log of bounded length.
  const denials = new RateLimiter({ perSecond: 1, burst: 100, clock: ca.clock });
  const limit = limiter ?? new RateLimiter({ perSecond: 20, burst: 200, clock: ca.clock });

  async function answer(call: Call): Promise<Answer> {
    const peer = peerOf(call);
    if (!limit.allow(peer?.spiffeId ?? addressOf(call.getPeer()))) throw new Denied(status.RESOURCE_EXHAUSTED, 'too many certificate requests; try again later');
    // Before the caller is asked who it is: a token must not be used up by a request that could not be granted.
    const csr = readCsr(call.request.csr);
    const ttlSeconds = Number(call.request.validityDuration);
    if (call.request.metadata && 'ImpersonatedIdentity' in call.request.metadata) throw new Denied(status.PERMISSION_DENIED, 'impersonation is not supported');
    const { spiffeId, attestor } = await attest(attestors, { ...bearerOf(call.metadata), ...(peer && { peer }) });
    const { chain } = await ca.signCsr(csr, { spiffeId, attestor, ...(ttlSeconds !== 0 && { ttlSeconds }) });
    return { certChain: [...chain, ...ca.bundle()] };
  }

  async function createCertificate(call: Call, done: sendUnaryData<Answer>): Promise<void> {
    try {
      done(null, await answer(call));
    } catch (error) {
      const { code, message } = statusOf(error);
      const fields = { err: error, peer: call.getPeer() };
      if (code === status.INTERNAL) ca.logger.error(fields, 'a certificate could not be issued');
      else ca.logger.info(fields, 'a certificate was refused');
      // The refusal stands whether or not it can be written down.
      if (code !== status.RESOURCE_EXHAUSTED && denials.allow('')) await ca.audit.record({ event: 'deny', peer: call.getPeer(), code: status[code], reason: message }).catch((failure: unknown) => ca.logger.error({ err: failure }, 'the audit log cannot be written'));
      done({ code, details: message });
    }
  }

  return { definition: serviceDefinition(IstioCertificateService), implementation: { createCertificate } as UntypedServiceImplementation };
}

async function attest(attestors: readonly Attestor[], call: AttestationCall): Promise<{ spiffeId: string; attestor: string }> {
  for (const attestor of attestors) {
    const known = await attestor.attest(call);
    if (known) return { spiffeId: known.spiffeId, attestor: attestor.name };
  }
  throw new AttestationRefused('no proof of identity that this authority knows: send a join token, or a current SVID as client certificate');
}

/** grpc-js shows a client certificate only when TLS has verified it. */
function peerOf(call: Call): AttestationCall['peer'] {
  const raw = call.getAuthContext().sslPeerCertificate?.raw;
  if (!raw) return undefined;
  const certificate = new X509Certificate(raw);
  return { spiffeId: peerName(certificate).toString(), certificatePem: certificate.toString() };
}

function bearerOf(metadata: Metadata): Pick<AttestationCall, 'bearer'> {
  const bearer = /^Bearer ([\x21-\x7e]{1,8192})$/i.exec(String(metadata.get('authorization')[0] ?? ''))?.[1];
  return bearer === undefined ? {} : { bearer };
}

function addressOf(peer: string): string {
  return peer.replace(/:\d+$/, '');
}

function statusOf(error: unknown): { code: status; message: string } {
  if (error instanceof Denied) return error;
  if (error instanceof CsrError || error instanceof TtlError) return { code: status.INVALID_ARGUMENT, message: error.message };
  if (error instanceof NamesRefused) return { code: status.PERMISSION_DENIED, message: error.message };
  if (error instanceof AttestationRefused || (error instanceof Error && error.name === 'PeerVerificationError')) return { code: status.UNAUTHENTICATED, message: error.message };
  return { code: status.INTERNAL, message: 'the authority cannot issue certificates now; its log says why' };
}
