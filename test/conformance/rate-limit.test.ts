import { afterAll } from 'vitest';
import { clusterOf } from './case-resources.js';
import { listenRateLimits } from './case-rate-limit-service.js';
import type { PlainBackend } from './case-backend.js';
import { rateLimitCases, rateLimitCluster } from './cases/rate-limit.js';
import { conformance } from './conformance.js';

let service: PlainBackend | undefined;
afterAll(() => service?.close());

conformance('rate limit', rateLimitCases, async () => {
  service = await listenRateLimits();
  return { resources: [{ '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster', ...clusterOf(rateLimitCluster, service.port, 'grpc') }] };
});
