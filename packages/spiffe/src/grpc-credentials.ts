import { CallCredentials, ChannelCredentials, ServerCredentials, type ChannelOptions } from '@grpc/grpc-js';
import { isIP, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { endWithCertificates } from './connection-expiry.js';
import { controlPlaneNameError } from './source/first-contact.js';
import type { TlsContexts, UpstreamTlsOptions } from './tls-context.js';

type SecureConnector = ReturnType<ChannelCredentials['_createSecureConnector']>;

/**
 * Credentials for `server.bindAsync`: the source's newest identity, from the moment the source has one; connections before that
 * are dropped. Client certificates are asked for always and required by option.
 */
export class MeshServerCredentials extends ServerCredentials {
  readonly #stop: () => void;

  constructor(contexts: TlsContexts, { requireClientCertificate }: { requireClientCertificate: boolean }) {
    super({ requestCert: true, rejectUnauthorized: requireClientCertificate }, contexts.current() && contexts.serverContextOptions());
    this.#stop = contexts.subscribe(() => this.updateSecureContextOptions(contexts.serverContextOptions()));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }

  /** Stops following the source. */
  close(): void {
    this.#stop();
  }
}

export interface MeshChannelOptions {
  /** Exact SPIFFE IDs, any of which the server may have. Empty = any workload of our own trust domain. */
  readonly expectedIds: readonly string[];
  /** SNI; by default the host of the target, and nothing useful for an IP address. */
  readonly servername?: string;
}

/**
 * Credentials for a channel. Each new connection is made with the newest identity, so a channel may live as long as it likes;
 * connections that exist stay (compare `contexts.generation` to drain them).
 */
export function channelCredentials(contexts: TlsContexts, options: MeshChannelOptions): ChannelCredentials {
  return new MeshChannelCredentials(contexts, options);
}

/**
 * Credentials for a channel to the control plane (ADS): like `channelCredentials`, but the server must be a control plane, by its
 * SPIFFE ID or, where it is not Weft's, by the host that was dialled. Any workload would pass a check of the chain alone.
 * @param host without port, as in the address that was configured.
 */
export function controlPlaneCredentials(contexts: TlsContexts, host: string): ChannelCredentials {
  return new MeshChannelCredentials(contexts, { expectedIds: [] }, (_name, certificate) => controlPlaneNameError(host, certificate));
}

class MeshChannelCredentials extends ChannelCredentials {
  readonly #contexts: TlsContexts;
  readonly #options: MeshChannelOptions;
  readonly #check: UpstreamTlsOptions['checkServerIdentity'] | undefined;

  /** @param check instead of the comparison with `expectedIds`. */
  constructor(contexts: TlsContexts, options: MeshChannelOptions, check?: UpstreamTlsOptions['checkServerIdentity']) {
    super();
    this.#check = check;
    this.#contexts = contexts;
    this.#options = options;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(target: Parameters<ChannelCredentials['_createSecureConnector']>[0], channelOptions: ChannelOptions, ownCalls: CallCredentials = CallCredentials.createEmpty()): SecureConnector {
    const connector = () => {
      const { secureContext, checkServerIdentity } = this.#contexts.upstream({ expectedIds: this.#options.expectedIds, alpn: ['h2'] });
      const fixed = ChannelCredentials.createFromSecureContext(secureContext, { checkServerIdentity: this.#check ?? checkServerIdentity, rejectUnauthorized: true });
      return fixed._createSecureConnector(target, this.#named(target.path, channelOptions), ownCalls);
    };
    return {
      connect: async (socket) => {
        const connected = await connector().connect(socket);
        if (connected.socket instanceof TLSSocket) endWithCertificates(connected.socket);
        return connected;
      },
      waitForReady: async () => void (await this.#contexts.ready()),
      getCallCredentials: () => ownCalls,
      destroy: () => undefined,
    };
  }

  /** grpc-js would send an IP address as server name, which Node warns about (DEP0123). */
  #named(path: string, options: ChannelOptions): ChannelOptions {
    if (this.#options.servername !== undefined) return { ...options, 'grpc.ssl_target_name_override': this.#options.servername };
    const host = path.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
    if (options['grpc.ssl_target_name_override'] !== undefined || isIP(host) === 0) return options;
    return { ...options, 'grpc.ssl_target_name_override': this.#contexts.current()!.svid.id.trustDomain };
  }
}

/** The same credentials, with `prepare` called for each connection before anything else is written to it. */
export function withSockets(credentials: ChannelCredentials, prepare: (socket: Socket) => void): ChannelCredentials {
  return new PreparingCredentials(credentials, prepare);
}

class PreparingCredentials extends ChannelCredentials {
  readonly #inner: ChannelCredentials;
  readonly #prepare: (socket: Socket) => void;

  constructor(inner: ChannelCredentials, prepare: (socket: Socket) => void) {
    super();
    this.#inner = inner;
    this.#prepare = prepare;
  }

  override _isSecure(): boolean {
    return this.#inner._isSecure();
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(...args: Parameters<ChannelCredentials['_createSecureConnector']>): SecureConnector {
    const inner = this.#inner._createSecureConnector(...args);
    return {
      connect: (socket) => {
        this.#prepare(socket);
        return inner.connect(socket);
      },
      waitForReady: () => inner.waitForReady(),
      getCallCredentials: () => inner.getCallCredentials(),
      destroy: () => inner.destroy(),
    };
  }
}
