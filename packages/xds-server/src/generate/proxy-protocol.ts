import type { ClusterSchema } from '@weft/xds-api/cluster';
import { ProxyProtocolConfig_Version as Version } from '@weft/xds-api/core';
import { ProxyProtocolUpstreamTransportSchema } from '@weft/xds-api/tls';
import { extension, type Init } from './message.js';
import { rawBuffer } from './tls-context.js';

type Sockets = Pick<Init<typeof ClusterSchema>, 'transportSocket' | 'transportSocketMatches'>;

/** The same transport sockets, each behind a PROXY protocol header. */
export function behindProxyHeader({ transportSocket, transportSocketMatches }: Sockets, version: 'v1' | 'v2'): Sockets {
  const wrapped = (socket: Sockets['transportSocket']) =>
    extension('envoy.transport_sockets.upstream_proxy_protocol', ProxyProtocolUpstreamTransportSchema, { config: { version: version === 'v2' ? Version.V2 : Version.V1 }, transportSocket: (socket as ReturnType<typeof rawBuffer> | undefined) ?? rawBuffer() });
  if (!transportSocketMatches) return { transportSocket: wrapped(transportSocket) };
  return { ...(transportSocket && { transportSocket: wrapped(transportSocket) }), transportSocketMatches: transportSocketMatches.map(({ name = '', match, transportSocket: socket }) => ({ name, ...(match && { match }), transportSocket: wrapped(socket) })) };
}
