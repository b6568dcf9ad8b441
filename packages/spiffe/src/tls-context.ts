import { constants, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { createSecureContext, type ConnectionOptions, type PeerCertificate, type SecureContext, type SecureContextOptions, type Server, type TlsOptions, type TLSSocket } from 'node:tls';
import { bridgeBundles } from './bundle-bridge.js';
import { systemClock, type Clock } from './clock.js';
import { peerIdentity } from './peer-identity.js';
import { verifyPeerName } from './peer-verifier.js';
import { SpiffeId } from './spiffe-id.js';
import type { Identity, SvidSource } from './svid-source.js';

export interface UpstreamTls {
  /** Exact SPIFFE IDs, any of which the server may have. Empty = any workload of our own trust domain. */
  readonly expectedIds: readonly string[];
  readonly alpn: readonly string[];
  /** SNI. An IP address is not sent (RFC 6066 §3 forbids it). */
  readonly servername?: string;
}

export interface ServerTls {
  readonly alpn: readonly string[];
  /** False: a client may come without a certificate; one that it sends must still verify to count as an identity. */
  readonly requireClientCertificate: boolean;
}

/** What `tls.connect` takes; add `host` and `port`, or `socket`. Never add `session`. */
export interface UpstreamTlsOptions extends Pick<ConnectionOptions, 'servername'> {
  readonly secureContext: SecureContext;
  readonly checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined;
  readonly ALPNProtocols: string[];
  readonly rejectUnauthorized: true;
  readonly minVersion: 'TLSv1.3';
}

/**
 * The TLS settings that follow from an identity, made once per generation. Only TLS 1.3, no session resumption, never the system's
 * roots; names are SPIFFE IDs, never host names.
 */
export class TlsContexts {
  readonly #source: SvidSource;
  readonly #clock: Clock;
  #cached = 0;
  #upstreamContexts = new Map<string, SecureContext>();
  #serverContext: SecureContextOptions | undefined;

  constructor(source: SvidSource, options: { clock?: Clock } = {}) {
    this.#source = source;
    this.#clock = options.clock ?? systemClock;
  }

  /** 0 until the first identity. A connection made under an older generation should be drained. */
  get generation(): number {
    return this.#source.current()?.generation ?? 0;
  }

  current(): Identity | undefined {
    return this.#source.current();
  }

  ready(signal?: AbortSignal): Promise<Identity> {
    return this.#source.ready(signal);
  }

  /** Called with each new generation. @returns stops it. */
  subscribe(fn: (generation: number) => void): () => void {
    return this.#source.subscribe((identity) => fn(identity.generation));
  }

  /** @throws when there is no valid identity yet or any more, or an expected ID is of a trust domain without a bundle. */
  upstream({ expectedIds, alpn, servername }: UpstreamTls): UpstreamTlsOptions {
    const identity = this.#valid();
    const own = identity.svid.id.trustDomain;
    const trustDomains = expectedIds.length === 0 ? [own] : [...new Set(expectedIds.map((id) => SpiffeId.parse(id).trustDomain))].sort();
    return {
      secureContext: this.#upstreamContext(identity, trustDomains),
      checkServerIdentity: (_host: string, certificate: PeerCertificate) => nameError(certificate, expectedIds, own),
      ALPNProtocols: [...alpn],
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
      ...(servername !== undefined && isIP(servername) === 0 && { servername }),
    };
  }

  /** For `tls.createServer` and the like. @throws when there is no identity yet. */
  serverOptions({ alpn, requireClientCertificate }: ServerTls): TlsOptions {
    return { ...this.serverContextOptions(), ALPNProtocols: [...alpn], requestCert: true, rejectUnauthorized: requireClientCertificate };
  }

  /** The part of the server's options that changes with the identity: everything `server.setSecureContext` has to be told. */
  serverContextOptions(): SecureContextOptions {
    const identity = this.#source.current();
    if (!identity) throw new Error('no SVID yet');
    this.#forget(identity);
    this.#serverContext ??= {
      ca: bridgeBundles(identity.bundles.values()),
      cert: identity.svid.chainPem,
      key: identity.svid.keyPem,
      minVersion: 'TLSv1.3',
      // Refuses every resumption, with tickets and without.
      secureOptions: constants.SSL_OP_NO_TICKET,
    };
    return this.#serverContext;
  }

  /**
   * Keeps a server on the newest generation, and destroys connections whose peer is not verified before their first byte is read:
   * an untrusted or malformed client certificate, a resumed session. @returns stops following.
   */
  attachServer(server: Server): () => void {
    const verify = (socket: TLSSocket) => {
      try {
        peerIdentity(socket);
      } catch (error) {
        server.emit('tlsClientError', error, socket);
      }
    };
    server.prependListener('secureConnection', verify);
    if (this.#source.current()) server.setSecureContext(this.serverContextOptions());
    const unsubscribe = this.subscribe(() => server.setSecureContext(this.serverContextOptions()));
    const stop = () => {
      unsubscribe();
      server.off('secureConnection', verify);
    };
    server.once('close', stop);
    return stop;
  }

  #valid(): Identity {
    const identity = this.#source.current();
    if (!identity) throw new Error('no SVID yet');
    if (!identity.svid.isValidAt(this.#clock.now())) {
      throw new Error(`the SVID ${identity.svid.id} is not valid now: it holds from ${identity.svid.leaf.validFrom} to ${identity.svid.leaf.validTo}`);
    }
    return identity;
  }

  #upstreamContext(identity: Identity, trustDomains: readonly string[]): SecureContext {
    this.#forget(identity);
    const key = trustDomains.join(' ');
    let context = this.#upstreamContexts.get(key);
    if (!context) {
      const bundles = trustDomains.map((trustDomain) => {
        const bundle = identity.bundles.get(trustDomain);
        if (!bundle) throw new Error(`no trust bundle for the trust domain ${trustDomain}`);
        return bundle;
      });
      // One trust domain needs no bridge: a foreign name from its authority fails the comparison of names.
      const ca = bundles.length === 1 ? bundles[0]!.authorities.map((authority) => authority.toString()) : bridgeBundles(bundles);
      context = createSecureContext({ ca, cert: identity.svid.chainPem, key: identity.svid.keyPem, minVersion: 'TLSv1.3' });
      this.#upstreamContexts.set(key, context);
    }
    return context;
  }

  #forget(identity: Identity): void {
    if (identity.generation === this.#cached) return;
    this.#cached = identity.generation;
    this.#upstreamContexts = new Map();
    this.#serverContext = undefined;
  }
}

function nameError(certificate: PeerCertificate, expectedIds: readonly string[], trustDomain: string): Error | undefined {
  try {
    verifyPeerName(new X509Certificate(certificate.raw), expectedIds, trustDomain);
    return undefined;
  } catch (error) {
    return error as Error;
  }
}
