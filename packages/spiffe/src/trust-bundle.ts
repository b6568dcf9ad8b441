import { X509Certificate } from 'node:crypto';
import { splitPem } from './pem.js';
import { SpiffeId } from './spiffe-id.js';

/** The root certificates of one trust domain. Bundles of different trust domains are never merged (SPIFFE Federation §4). */
export class TrustBundle {
  readonly trustDomain: string;
  readonly authorities: readonly X509Certificate[];
  /** The same roots, one PEM block after the other. */
  readonly pem: string;

  private constructor(trustDomain: string, authorities: readonly X509Certificate[]) {
    this.trustDomain = trustDomain;
    this.authorities = authorities;
    this.pem = authorities.map((authority) => authority.toString()).join('');
  }

  /**
   * @param pem one or more CA certificates, as one text or a list of them; duplicates are dropped, the order stays.
   * @throws when there is none (an empty bundle would mean the system's roots to TLS), or one is not a CA certificate.
   */
  static parse(trustDomain: string, pem: string | readonly string[]): TrustBundle {
    SpiffeId.checkTrustDomain(trustDomain);
    const blocks = [pem].flat().flatMap((text) => splitPem(text, 'CERTIFICATE'));
    if (blocks.length === 0) throw new Error(`trust bundle of ${trustDomain}: no certificate`);
    const authorities = new Map<string, X509Certificate>();
    for (const block of blocks) {
      const certificate = new X509Certificate(block);
      if (!certificate.ca) throw new Error(`trust bundle of ${trustDomain}: ${certificate.subject || certificate.fingerprint256} is not a CA certificate`);
      authorities.set(certificate.fingerprint256, certificate);
    }
    return new TrustBundle(trustDomain, [...authorities.values()]);
  }

  equals(other: TrustBundle | undefined): boolean {
    return other?.trustDomain === this.trustDomain && other.pem === this.pem;
  }
}
