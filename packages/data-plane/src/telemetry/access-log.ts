// One line a request, with the keys of Istio's JSON access log (pilot/pkg/model/telemetry_logging.go). Missing values are null.
import { createWriteStream } from 'node:fs';
import type { HeaderMap } from '../stream/header-map.js';
import type { RequestHead } from '../stream/request-head.js';
import type { StreamInfo } from '../stream/stream-info.js';

export interface AccessLogEntry {
  start_time: string;
  /** Null, as the path and the protocol, for connections that carry bytes. */
  method: string | null;
  path: string | null;
  protocol: string | null;
  response_code: number;
  response_flags: string | null;
  response_code_details: string | null;
  connection_termination_details: string | null;
  upstream_transport_failure_reason: string | null;
  bytes_received: number;
  bytes_sent: number;
  /** Milliseconds. */
  duration: number;
  upstream_service_time: string | null;
  x_forwarded_for: string | null;
  user_agent: string | null;
  request_id: string | null;
  authority: string;
  upstream_host: string | null;
  upstream_cluster: string | null;
  upstream_local_address: string | null;
  downstream_local_address: string | null;
  downstream_remote_address: string | null;
  requested_server_name: string | null;
  route_name: string | null;
  grpc_status: number | null;
}

export type AccessLogSink = (entry: AccessLogEntry) => void;

/** `true`: JSON lines on stdout; a path: appended to that file; a function: called with each entry. Absent or false: no log. */
export function accessLogSink(option: boolean | string | AccessLogSink | undefined, onError: (error: Error) => void = () => {}): AccessLogSink | undefined {
  if (option === undefined || option === false) return undefined;
  if (typeof option === 'function') return option;
  if (option === true) return (entry) => void process.stdout.write(`${JSON.stringify(entry)}\n`);
  const file = createWriteStream(option, { flags: 'a' });
  file.on('error', onError);
  return (entry) => void file.write(`${JSON.stringify(entry)}\n`);
}

export function accessLogEntry(info: StreamInfo, head: Pick<RequestHead, 'headers'>, durationMs: number, responseHeaders: HeaderMap | undefined): AccessLogEntry {
  const outbound = info.direction === 'outbound';
  return {
    start_time: new Date(performance.timeOrigin + info.startTime).toISOString(),
    method: info.method || null,
    path: info.originalPath || null,
    protocol: info.httpVersion || null,
    response_code: info.status,
    response_flags: info.flags.length > 0 ? info.flags.join(',') : null,
    response_code_details: info.responseCodeDetails || null,
    connection_termination_details: info.protocol === 'tcp' ? info.responseCodeDetails || null : null,
    upstream_transport_failure_reason: null,
    // Envoy's point of view: received from and sent to the side that asked.
    bytes_received: outbound ? info.bytesSent : info.bytesReceived,
    bytes_sent: outbound ? info.bytesReceived : info.bytesSent,
    duration: Math.round(durationMs),
    upstream_service_time: responseHeaders?.get('x-envoy-upstream-service-time') ?? null,
    x_forwarded_for: head.headers.joined('x-forwarded-for') ?? null,
    user_agent: head.headers.get('user-agent') ?? null,
    request_id: head.headers.get('x-request-id') ?? null,
    authority: info.authority,
    upstream_host: info.upstreamAddress || null,
    upstream_cluster: info.clusterName || null,
    upstream_local_address: null,
    downstream_local_address: info.downstreamLocalAddress || null,
    downstream_remote_address: info.downstreamRemoteAddress || null,
    requested_server_name: info.requestedServerName || null,
    route_name: info.routeName || null,
    grpc_status: info.grpcStatus ?? null,
  };
}
