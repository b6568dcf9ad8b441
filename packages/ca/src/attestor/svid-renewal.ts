import { X509Certificate } from 'node:crypto';
import { TrustBundle, verifyChain } from '@weft/spiffe';
import type { CertificateAuthority } from '../certificate-authority.js';
import { AttestationRefused, type Attestation, type AttestationCall, type Attestor } from './attestor.js';

/** A current SVID gets the next one of the same identity. */
export class SvidRenewal implements Attestor {
  readonly name = 'svid-renewal';
  readonly #authority: CertificateAuthority;

  constructor(authority: CertificateAuthority) {
    this.#authority = authority;
  }

  async attest({ peer }: AttestationCall): Promise<Attestation | undefined> {
    if (!peer) return undefined;
    try {
      // Again, although TLS has done it: a connection may outlive its certificate, or a root that was removed since.
      const bundle = TrustBundle.parse(this.#authority.trustDomain, this.#authority.bundle());
      const id = verifyChain([new X509Certificate(peer.certificatePem)], bundle, this.#authority.clock.now());
      if (id.toString() !== peer.spiffeId) throw new Error(`the certificate is of ${id}`);
      return { spiffeId: id.toString() };
    } catch (error) {
      throw new AttestationRefused('the client certificate is not a current SVID of this trust domain', { cause: error });
    }
  }
}
