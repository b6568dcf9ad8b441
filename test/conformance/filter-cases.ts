// Every filter's cases by title: through Weft in filters.test.ts, through a real Envoy in test/interop/envoy-filters.test.ts.
import { bufferCases, throttleCases } from './cases/body-limits.js';
import { breakerCases, healthCheckCases as clusterHealthCases, outlierCases } from './cases/cluster.js';
import { compressionCases, decompressionCases } from './cases/compression.js';
import { corsCases } from './cases/cors.js';
import { csrfCases } from './cases/csrf.js';
import { faultCases } from './cases/fault.js';
import { headerMutationCases } from './cases/header-mutation.js';
import { healthCheckCases } from './cases/health-check.js';
import { limitCases } from './cases/limits.js';
import { localRateLimitCases } from './cases/local-rate-limit.js';
import { metadataCases } from './cases/metadata.js';
import { errorRateCases, overloadCases } from './cases/overload.js';
import { rbacCases } from './cases/rbac.js';
import { statefulSessionCases } from './cases/stateful-session.js';
import type { ConformanceCase } from './conformance-case.js';

export const filterCases: Readonly<Record<string, readonly ConformanceCase[]>> = {
  'health checks of clusters': clusterHealthCases,
  'outlier detection': outlierCases,
  'circuit breakers': breakerCases,
  buffer: bufferCases,
  compressor: compressionCases,
  CORS: corsCases,
  CSRF: csrfCases,
  decompressor: decompressionCases,
  fault: faultCases,
  'header mutation': headerMutationCases,
  'health check': healthCheckCases,
  'limited rates': throttleCases,
  'limits of listeners': limitCases,
  'local rate limit': localRateLimitCases,
  metadata: metadataCases,
  overload: overloadCases,
  'error-rate breaker': errorRateCases,
  RBAC: rbacCases,
  'stateful session': statefulSessionCases,
};
