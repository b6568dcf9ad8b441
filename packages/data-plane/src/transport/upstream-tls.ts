// Which transport socket an endpoint gets, and who has to be at its other end.
import { isIP } from 'node:net';
import type { ClusterConfig, EndpointConfig } from '../resource/cluster-config.js';
import type { StringMatcherConfig } from '../resource/matcher-config.js';
import type { ProxyProtocolVersion, UpstreamTlsConfig } from '../resource/tls-config.js';

export type UpstreamSecurity =
  | { readonly kind: 'plaintext'; readonly proxyProtocol?: ProxyProtocolVersion }
  | { readonly kind: 'tls'; readonly config: UpstreamTlsConfig; readonly expected: ExpectedPeer; readonly proxyProtocol?: ProxyProtocolVersion }
  /** The endpoint must not be talked to. */
  | { readonly kind: 'refused'; readonly reason: string };

export interface ExpectedPeer {
  /** Exact SPIFFE IDs, any of which; empty = any workload of our own trust domain, where there are no `matchers` either. */
  readonly ids: readonly string[];
  /** Names that are not exact SPIFFE IDs: DNS names, prefixes. */
  readonly matchers: readonly StringMatcherConfig[];
}

const plaintext: UpstreamSecurity = { kind: 'plaintext' };

export function upstreamSecurity(cluster: ClusterConfig, endpoint: EndpointConfig): UpstreamSecurity {
  // Strict mTLS is demanded, but nobody knows whom to expect: plain text would leak, any certificate would be trusted.
  if (endpoint.identityMissing) return { kind: 'refused', reason: `${endpoint.address}:${endpoint.port} must speak mTLS but has no identity (no service account)` };
  const labels = endpoint.metadata['envoy.transport_socket_match'] ?? {};
  const socket = cluster.transportSockets.find(({ match }) => matches(match, labels));
  if (!socket) return cluster.transportSockets.length === 0 ? plaintext : { kind: 'refused', reason: `no transport socket of ${cluster.name} matches ${endpoint.address}:${endpoint.port}` };
  const proxied = socket.proxyProtocol && { proxyProtocol: socket.proxyProtocol };
  if (!socket.tls) return proxied ? { ...plaintext, ...proxied } : plaintext;
  const tls = namedTls(socket.tls, cluster.type?.kind === 'dynamic-forward-proxy', endpoint.hostname);
  return { kind: 'tls', config: tls, expected: expectedPeer(tls, endpoint), ...proxied };
}

/** With the names that depend on the host. */
function namedTls(tls: UpstreamTlsConfig, forwardProxy: boolean, hostname: string): UpstreamTlsConfig {
  if (!forwardProxy && !tls.hostSni && !tls.verifySni) return tls;
  const sni = forwardProxy || (tls.hostSni && hostname !== '') ? (isIP(hostname) === 0 ? hostname : '') : tls.sni;
  // Without matchers the name itself is looked for.
  return { ...tls, sni, ...(tls.verifySni && sni !== '' && { subjectAltNames: [] }) };
}

/** The endpoint's own identity is narrower than the service's list of accounts, so it wins. */
function expectedPeer(tls: UpstreamTlsConfig, endpoint: EndpointConfig): ExpectedPeer {
  if (endpoint.spiffeId !== undefined && usesIdentity(tls)) return { ids: [endpoint.spiffeId], matchers: [] };
  const exact = (matcher: StringMatcherConfig) => matcher.kind === 'exact' && !matcher.ignoreCase && matcher.value.startsWith('spiffe://');
  if (tls.subjectAltNames.every(exact)) return { ids: tls.subjectAltNames.map(({ value }) => value), matchers: [] };
  return { ids: [], matchers: tls.subjectAltNames };
}

/** Key and roots come from this process's own SVID, not from files. */
export function usesIdentity(tls: UpstreamTlsConfig): boolean {
  return tls.identityProvider !== undefined || (tls.rootProvider !== undefined && !tls.certificateFiles);
}

const known = new WeakMap<EndpointConfig, { cluster: ClusterConfig; mutual: boolean }>();

/** Whether both sides show SPIFFE identities: what metrics and traces tell of a connection. Remembered, for every attempt asks. */
export function isMutualTls(cluster: ClusterConfig, endpoint: EndpointConfig): boolean {
  let entry = known.get(endpoint);
  if (entry?.cluster !== cluster) known.set(endpoint, (entry = { cluster, mutual: findMutualTls(cluster, endpoint) }));
  return entry.mutual;
}

function findMutualTls({ transportSockets }: ClusterConfig, { metadata, identityMissing }: EndpointConfig): boolean {
  if (transportSockets.length === 0 || identityMissing) return false;
  const tls = transportSockets.find(({ match }) => matches(match, metadata['envoy.transport_socket_match'] ?? {}))?.tls;
  return tls !== undefined && usesIdentity(tls);
}

function matches(match: Readonly<Record<string, unknown>>, labels: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(match).every((key) => same(match[key], labels[key]));
}

function same(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === 'object' && JSON.stringify(a) === JSON.stringify(b));
}
