// By gRPC status.
const httpStatuses: readonly number[] = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

/** Envoy's mapping, used where a gRPC status is judged or answered as HTTP. */
export function httpStatusOfGrpc(grpcStatus: number): number {
  return httpStatuses[grpcStatus] ?? 500;
}
