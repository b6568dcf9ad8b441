// What is known of an outbound request, for filters, logs and metrics: at its start, and with each host it is sent to.
import type { RequestHead } from '../stream/request-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { isMutualTls } from '../transport/upstream-tls.js';
import type { Host, HostCluster } from '../upstream/host.js';

export function outboundInfo({ protocol, method, path, authority }: RequestHead): StreamInfo {
  return {
    direction: 'outbound', startTime: performance.now(), protocol, method, originalPath: path, authority,
    httpVersion: protocol === 'grpc' ? 'HTTP/2' : 'HTTP/1.1', routeName: '', clusterName: '', attempts: 0, flags: [], responseCodeDetails: '', status: 0,
    bytesSent: 0, bytesReceived: 0, upstreamAddress: '', downstreamRemoteAddress: '', downstreamLocalAddress: '', mutualTls: false, requestedServerName: '',
  };
}

/** The next attempt goes to this host. */
export function describeAttempt(info: StreamInfo, host: Host, cluster: HostCluster): void {
  info.attempts++;
  describeHost(info, host, cluster);
}

/** Its answer comes from this host. */
export function describeHost(info: StreamInfo, host: Host, cluster: HostCluster): void {
  info.upstreamAddress = host.key;
  if (host.config.spiffeId !== undefined) info.upstreamSpiffeId = host.config.spiffeId;
  else if (info.upstreamSpiffeId !== undefined) delete info.upstreamSpiffeId;
  if (cluster.config.protocol === 'http2') info.httpVersion = 'HTTP/2';
  info.mutualTls = isMutualTls(cluster.config, host.config);
  if (host.config.workload) info.peerWorkload = host.config.workload;
}
