import { expect, it } from 'vitest';
import { grpcStatusOf } from './local-reply.js';

it.each([[400, 13], [401, 16], [403, 7], [404, 12], [429, 14], [502, 14], [503, 14], [504, 14], [200, 2], [418, 2], [500, 2]])('HTTP %d is gRPC %d, as from Envoy', (status, grpcStatus) => {
  expect(grpcStatusOf({ status })).toBe(grpcStatus);
  expect(grpcStatusOf({ status, grpcStatus: 5 })).toBe(5);
});
