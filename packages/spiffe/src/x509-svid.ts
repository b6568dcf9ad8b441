import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { spiffeIdOf } from './certificate-names.js';
import { splitPem } from './pem.js';
import type { SpiffeId } from './spiffe-id.js';

/** An X.509-SVID with its private key: the leaf, then the certificates up to (maybe including) the root. */
export class X509Svid {
  readonly id: SpiffeId;
  readonly leaf: X509Certificate;
  readonly certificates: readonly X509Certificate[];
  readonly chainPem: string;
  readonly keyPem: string;
  readonly privateKey: KeyObject;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;

  private constructor(id: SpiffeId, certificates: readonly X509Certificate[], privateKey: KeyObject) {
    this.id = id;
    this.certificates = certificates;
    this.leaf = certificates[0]!;
    this.chainPem = certificates.map((certificate) => certificate.toString()).join('');
    this.privateKey = privateKey;
    this.keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
    this.notBefore = this.leaf.validFromDate.getTime();
    this.notAfter = this.leaf.validToDate.getTime();
  }

  /** @throws when the leaf is not an X.509-SVID (X509-SVID §2-5) or the key is not its key. Validity in time is not checked here. */
  static parse({ chainPem, keyPem }: { chainPem: string; keyPem: string }): X509Svid {
    const certificates = splitPem(chainPem, 'CERTIFICATE').map((block) => new X509Certificate(block));
    const leaf = certificates[0];
    if (!leaf) throw new Error('X.509-SVID: no certificate');
    const id = spiffeIdOf(leaf);
    const privateKey = createPrivateKey(keyPem);
    if (!leaf.checkPrivateKey(privateKey)) throw new Error(`X.509-SVID ${id}: the private key does not belong to the certificate`);
    return new X509Svid(id, certificates, privateKey);
  }

  isValidAt(now: number): boolean {
    return now >= this.notBefore && now < this.notAfter;
  }
}
