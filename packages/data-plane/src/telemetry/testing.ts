// For tests of this package.
import { HeaderMap } from '../stream/header-map.js';
import type { RequestHead } from '../stream/request-head.js';
import type { StreamInfo, WorkloadInfo } from '../stream/stream-info.js';

export function testWorkload(name: string, over: Partial<WorkloadInfo> = {}): WorkloadInfo {
  return { name, namespace: 'shop', canonicalService: name, canonicalRevision: 'v1', cluster: 'Kubernetes', ...over };
}

export function testInfo(over: Partial<StreamInfo> = {}): StreamInfo {
  return {
    direction: 'inbound', startTime: performance.now(), protocol: 'http', method: 'GET', originalPath: '/', authority: 'payments', httpVersion: 'HTTP/1.1', routeName: '', clusterName: '', attempts: 0, flags: [],
    responseCodeDetails: '', status: 200, bytesSent: 0, bytesReceived: 0, upstreamAddress: '', downstreamRemoteAddress: '10.0.0.9:50000', downstreamLocalAddress: '10.0.0.1:8080', mutualTls: false, requestedServerName: '', ...over,
  };
}

export function testHead(over: { path?: string; method?: string; authority?: string; headers?: Record<string, string | string[]>; protocol?: 'http' | 'grpc' } = {}): RequestHead {
  const { path = '/', method = 'GET', authority = 'payments', headers, protocol = 'http' } = over;
  return { protocol, method, scheme: 'http', authority, path, headers: HeaderMap.from(headers) };
}
