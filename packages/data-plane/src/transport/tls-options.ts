// From a transport socket to what tls.connect takes.
import { statSync, readFileSync } from 'node:fs';
import { createSecureContext, checkServerIdentity, type ConnectionOptions, type PeerCertificate, type SecureContext } from 'node:tls';
import { onlyUri, PeerVerificationError, type TlsContexts } from '@weft/spiffe';
import { X509Certificate } from 'node:crypto';
import { MeshError } from '../errors.js';
import type { UpstreamTlsConfig } from '../resource/tls-config.js';
import { compileStringMatcher } from '../route/string-matcher.js';
import { usesIdentity, type ExpectedPeer } from './upstream-tls.js';

/** Call the result for each connection: it holds the newest identity or files. It throws where there is none, never falls back. */
export function tlsOptionsOf(config: UpstreamTlsConfig, expected: ExpectedPeer, alpn: readonly string[], contexts: TlsContexts | undefined): () => ConnectionOptions {
  return usesIdentity(config) ? fromIdentity(config, expected, alpn, contexts) : fromFiles(config, expected, alpn);
}

function fromIdentity(config: UpstreamTlsConfig, expected: ExpectedPeer, alpn: readonly string[], contexts: TlsContexts | undefined): () => ConnectionOptions {
  const check = expected.matchers.length > 0 ? nameCheck(expected) : undefined;
  return () => {
    if (!contexts) throw new MeshError('WEFT_IDENTITY_UNAVAILABLE', 'the service wants mTLS, and the bootstrap of this process gives no source of certificates');
    const options = upstreamOptions(contexts, { expectedIds: expected.ids, alpn, ...(config.sni && { servername: config.sni }) });
    if (!check) return options;
    // The chain and the trust domain are checked first; the names that are not exact IDs narrow it further.
    return { ...options, checkServerIdentity: (host, certificate) => options.checkServerIdentity(host, certificate) ?? check(certificate) };
  };
}

function upstreamOptions(contexts: TlsContexts, options: Parameters<TlsContexts['upstream']>[0]) {
  try {
    return contexts.upstream(options);
  } catch (error) {
    throw new MeshError('WEFT_IDENTITY_UNAVAILABLE', (error as Error).message, { cause: error });
  }
}

/** Istio's SIMPLE and MUTUAL: key material in files, which may be replaced while we run. */
function fromFiles(config: UpstreamTlsConfig, expected: ExpectedPeer, alpn: readonly string[]): () => ConnectionOptions {
  const files = [config.trustedCaFile, config.certificateFiles?.chain, config.certificateFiles?.privateKey].filter((file) => file !== undefined);
  const names = expected.ids.length > 0 ? { ids: [], matchers: expected.ids.map((value) => ({ kind: 'exact' as const, value, ignoreCase: false })) } : expected;
  const check = names.matchers.length > 0 ? nameCheck(names) : undefined;
  let cached: { stamp: string; secureContext: SecureContext } | undefined;
  return () => {
    const stamp = files.map((file) => statSync(file).mtimeMs).join(' ');
    if (cached?.stamp !== stamp) {
      const ca = config.trustedCaPem ?? (config.trustedCaFile === undefined ? undefined : readFileSync(config.trustedCaFile));
      // Without `ca` Node would trust every public authority for a name that nobody asked for.
      if (ca === undefined) throw new MeshError('WEFT_PEER_IDENTITY', 'the transport socket names no trusted authority');
      const key = config.certificateFiles;
      cached = { stamp, secureContext: createSecureContext({ ca, minVersion: 'TLSv1.2', ...(key && { cert: readFileSync(key.chain), key: readFileSync(key.privateKey) }) }) };
    }
    return {
      secureContext: cached.secureContext,
      rejectUnauthorized: true,
      ALPNProtocols: [...alpn],
      ...(config.sni && { servername: config.sni }),
      checkServerIdentity: (host, certificate) => (check ? check(certificate) : checkServerIdentity(config.sni || host, certificate)),
    };
  };
}

/** One of the certificate's URI or DNS names has to match one of the matchers. */
function nameCheck({ matchers }: ExpectedPeer): (certificate: PeerCertificate) => Error | undefined {
  const tests = matchers.map(compileStringMatcher);
  return (certificate) => {
    const names = alternativeNames(certificate);
    if (names.some((name) => tests.some((test) => test(name)))) return undefined;
    return new PeerVerificationError(`the certificate names ${names.join(', ') || 'nobody'}, which none of the expected names matches`);
  };
}

function alternativeNames(certificate: PeerCertificate): string[] {
  const leaf = new X509Certificate(certificate.raw);
  // Names that hold a comma are quoted by Node and match nothing here, so they cannot smuggle a second one in (CVE-2021-44532).
  const names = (leaf.subjectAltName ?? '').split(', ').filter((name) => name.startsWith('DNS:')).map((name) => name.slice(4));
  try {
    names.push(onlyUri(leaf.subjectAltName));
  } catch {
    // No URI, or several: none of them is an identity.
  }
  return names;
}
