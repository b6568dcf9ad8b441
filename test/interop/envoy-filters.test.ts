// The conformance cases of filters through a real Envoy: what they expect of Weft is what Envoy does.
import { afterAll, describe } from 'vitest';
import { peers } from '../../scripts/peers.mjs';
import type { PlainBackend } from '../conformance/case-backend.js';
import { listenRateLimits } from '../conformance/case-rate-limit-service.js';
import { clusterOf } from '../conformance/case-resources.js';
import { rateLimitCases, rateLimitCluster } from '../conformance/cases/rate-limit.js';
import { envoyConformance } from '../conformance/envoy-conformance.js';
import { filterCases } from '../conformance/filter-cases.js';

const { envoy } = peers();

describe.skipIf(envoy.missing !== undefined)(`filters in Envoy 1.40${envoy.missing ? ` (skipped: ${envoy.missing})` : ''}`, () => {
  for (const [title, cases] of Object.entries(filterCases)) envoyConformance(title, envoy.path as string, cases);

  let limits: PlainBackend | undefined;
  afterAll(() => limits?.close());
  envoyConformance('rate limit', envoy.path as string, rateLimitCases, async () => {
    limits = await listenRateLimits();
    return [clusterOf(rateLimitCluster, limits.port, 'grpc')];
  });
});
