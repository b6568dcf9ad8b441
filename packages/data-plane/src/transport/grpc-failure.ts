// What became of a call that grpc-js ended by itself. Its statuses are nearly all 14; the kind is only in the English details.
// Tested per kind against the installed grpc-js, so that a new version that words it differently is noticed.
import type { UpstreamFailure } from '../stream/response-head.js';

export interface GrpcStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: { getMap(): Record<string, unknown> };
}

const patterns: readonly (readonly [RegExp, UpstreamFailure['kind']])[] = [
  // OpenSSL's and our own words for a peer that is not the expected one, inside of "Last error".
  [/^No connection established\..*(the peer is |certificate|self[- ]signed|SVID|WEFT_PEER_IDENTITY|identity)/i, 'identity'],
  [/^No connection established/, 'connect-failure'],
  [/^Stream refused by server/, 'refused-stream'],
  [/^Failed to start HTTP\/2 stream with error/, 'reset-before-request'],
  [/^Channel closed before call started/, 'reset-before-request'],
  [/^Connection dropped/, 'reset'],
  [/^Call cancelled/, 'reset'],
  [/^Received RST_STREAM with code/, 'reset'],
  [/^Write (error:|failed with error)/, 'reset'],
  [/^(read|write) E[A-Z]+/, 'reset'],
  [/^Bandwidth exhausted or memory limit exceeded/, 'reset'],
  [/^Protocol not secure enough/, 'protocol-error'],
  [/^No status information received/, 'protocol-error'],
];

/** Undefined: the server's own status. A status that came in trailers has their metadata, one of grpc-js has none. */
export function grpcFailure(status: GrpcStatus): UpstreamFailure | undefined {
  if (status.code === 0 || Object.keys(status.metadata.getMap()).length > 0) return undefined;
  const kind = patterns.find(([pattern]) => pattern.test(status.details))?.[1];
  return kind && { kind, message: status.details };
}
