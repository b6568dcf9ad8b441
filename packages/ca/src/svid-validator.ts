import { X509Certificate, type KeyObject } from 'node:crypto';
import { issued, spiffeIdOf } from '@weft/spiffe';

export interface Granted {
  readonly spiffeId: string;
  readonly publicKey: KeyObject;
  readonly notBefore: number;
  readonly notAfter: number;
  /** Names besides the SPIFFE ID, as OpenSSL prints them: `DNS:x`, `IP Address:1.2.3.4`. */
  readonly otherNames: readonly string[];
}

/**
 * Reads a fresh certificate with OpenSSL's eyes before it leaves, and compares it with what was granted: a mistake of the writer, or
 * an input that slipped through, must not become a signed certificate in somebody's hands.
 * @throws naming the first difference.
 */
export function validateSvid(pem: string, issuer: X509Certificate, granted: Granted): X509Certificate {
  const certificate = new X509Certificate(pem);
  const names = [`URI:${granted.spiffeId}`, ...granted.otherNames].join(', ');
  const checks: [string, boolean][] = [
    ['issuer', issued(issuer, certificate)],
    ['key', certificate.publicKey.equals(granted.publicKey)],
    ['spiffeId', spiffeIdOf(certificate).toString() === granted.spiffeId],
    ['names', certificate.subjectAltName === names],
    ['subject', !certificate.subject],
    ['notBefore', certificate.validFromDate.getTime() === granted.notBefore],
    ['notAfter', certificate.validToDate.getTime() === granted.notAfter],
    ['lifetime', granted.notAfter <= issuer.validToDate.getTime()],
    ['keyUsage', certificate.keyUsage?.join() === '1.3.6.1.5.5.7.3.1,1.3.6.1.5.5.7.3.2'],
  ];
  const wrong = checks.find(([, holds]) => !holds);
  if (wrong) throw new Error(`self-check of the certificate for ${granted.spiffeId} failed: ${wrong[0]}`);
  return certificate;
}
