import type { StreamInfo } from '../../stream/stream-info.js';

/** gRPC statuses that fewer requests may help against: deadline exceeded, resource exhausted, aborted, internal, unavailable, data loss. */
const serverFaults: ReadonlySet<number> = new Set([4, 8, 10, 13, 14, 15]);

export function isServerFault(grpcStatus: number): boolean {
  return serverFaults.has(grpcStatus);
}

/** Whether the other side failed. Undefined: the caller gave up, which says nothing about it. */
export function failed({ protocol, status, grpcStatus, flags }: StreamInfo): boolean | undefined {
  if (flags.includes('DC')) return undefined;
  if (protocol === 'grpc') return grpcStatus === undefined || isServerFault(grpcStatus);
  return status === 0 || status >= 500;
}
