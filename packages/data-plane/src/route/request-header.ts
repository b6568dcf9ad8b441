import type { RequestHead } from '../stream/request-head.js';

/**
 * A header of a request as matchers, formatters and hashes see it: several values joined by a comma, pseudo-headers from the
 * head. For gRPC, `-bin` metadata is never seen and `content-type` always is (gRFC A28).
 */
export function requestHeader(head: RequestHead, name: string): string | undefined {
  if (name.charCodeAt(0) === 58) {
    switch (name) {
      case ':path': return head.path;
      case ':method': return head.method;
      case ':authority': return head.authority;
      case ':scheme': return head.scheme;
      default: return undefined;
    }
  }
  if (name === 'host') return head.authority;
  if (head.protocol === 'grpc') {
    if (name.endsWith('-bin')) return undefined;
    if (name === 'content-type') return head.headers.get(name) ?? 'application/grpc';
  }
  return head.headers.joined(name);
}

/** The first value of a header: what `%REQ()%`, host_rewrite_header and cluster_header read, where matchers see all of them. */
export function firstRequestHeader(head: RequestHead, name: string): string | undefined {
  return name.charCodeAt(0) === 58 || name === 'host' || head.protocol === 'grpc' ? requestHeader(head, name) : head.headers.get(name);
}

/** Content type `application/grpc`, alone or with a suffix. */
export function isGrpc(head: RequestHead): boolean {
  if (head.protocol === 'grpc') return true;
  const type = head.headers.get('content-type');
  if (type === undefined || !type.startsWith('application/grpc')) return false;
  const next = type.charCodeAt(16);
  return Number.isNaN(next) || next === 43 /* + */;
}
