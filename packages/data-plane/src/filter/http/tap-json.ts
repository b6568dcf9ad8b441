// Pieces of envoy.data.tap.v3 as proto JSON with the names of the fields, as Envoy writes its files.
import type { HeaderMap } from '../../stream/header-map.js';
import type { StreamInfo } from '../../stream/stream-info.js';

export type Json = Record<string, unknown>;

export function headersJson(pseudo: readonly (readonly [string, string])[], headers: HeaderMap): Json[] {
  // The authority stands among the pseudo-headers.
  return [...pseudo, ...[...headers].filter(([name]) => name !== 'host' || pseudo.length === 0)].map(([key, value]) => ({ key, value, raw_value: '' }));
}

export function bodyJson(bytes: Uint8Array, truncated: boolean, asString: boolean): Json {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { ...(asString ? { as_string: buffer.toString() } : { as_bytes: buffer.toString('base64') }), truncated };
}

export function connectionJson({ downstreamLocalAddress, downstreamRemoteAddress }: StreamInfo): Json {
  return { local_address: addressJson(downstreamLocalAddress), remote_address: addressJson(downstreamRemoteAddress) };
}

function addressJson(text: string): Json {
  const colon = text.lastIndexOf(':');
  return { socket_address: { protocol: 'TCP', address: text.slice(0, colon).replace(/^\[|\]$/g, ''), port_value: Number(text.slice(colon + 1)), resolver_name: '', ipv4_compat: false } };
}
