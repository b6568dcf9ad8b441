// Transport sockets, decoded. Key material comes from certificate provider instances (SvidSource) or files.
import type { StringMatcherConfig } from './matcher-config.js';

export interface CommonTlsConfig {
  /** Provider of our certificate; absent: none is shown. */
  identityProvider?: string;
  /** Provider of trusted roots. */
  rootProvider?: string;
  /** Or files (PEM). */
  certificateFiles?: { chain: string; privateKey: string };
  trustedCaFile?: string;
  trustedCaPem?: string;
  subjectAltNames: readonly StringMatcherConfig[];
  alpn: readonly string[];
}

export interface UpstreamTlsConfig extends CommonTlsConfig {
  sni: string;
  /** The host's name is sent instead, where it has one. */
  hostSni?: true;
  /** The name that is sent has to be in the certificate, and no other. */
  verifySni?: true;
}

export interface DownstreamTlsConfig extends CommonTlsConfig {
  requireClientCertificate: boolean;
}

/** Which transport socket an endpoint gets, by its `envoy.transport_socket_match` metadata; first match wins. */
export interface TransportSocketMatchConfig {
  name: string;
  match: Readonly<Record<string, unknown>>;
  /** Absent: plain text. */
  tls?: UpstreamTlsConfig;
  /** A PROXY protocol header goes first. */
  proxyProtocol?: ProxyProtocolVersion;
}

export type ProxyProtocolVersion = 'v1' | 'v2';
