import type { HttpFilterFactory } from './http-filter.js';
import { adaptiveBreaker } from './http/adaptive-breaker.js';
import { adaptiveConcurrency } from './http/adaptive-concurrency.js';
import { admissionControl } from './http/admission-control.js';
import { bandwidthLimit } from './http/bandwidth-limit.js';
import { buffer } from './http/buffer.js';
import { compressor } from './http/compressor.js';
import { cors } from './http/cors.js';
import { csrf } from './http/csrf.js';
import { decompressor } from './http/decompressor.js';
import { dynamicForwardProxyFilter } from './http/dynamic-forward-proxy.js';
import { errorRateBreaker } from './http/error-rate-breaker.js';
import { fault } from './http/fault.js';
import { grpcStats } from './http/grpc-stats.js';
import { grpcWeb } from './http/grpc-web.js';
import { headerMutation } from './http/header-mutation.js';
import { headerToMetadata } from './http/header-to-metadata.js';
import { healthCheck } from './http/health-check.js';
import { localRateLimit } from './http/local-rate-limit.js';
import { rateLimit } from './http/rate-limit.js';
import { rbacFilter } from './http/rbac.js';
import { router } from './http/router.js';
import { setMetadata } from './http/set-metadata.js';
import { statefulSession } from './http/stateful-session.js';
import { tap } from './http/tap.js';

// Each factory is given only configurations that it parsed itself.
export const builtinFilters: readonly HttpFilterFactory[] = [
  adaptiveBreaker,
  adaptiveConcurrency,
  admissionControl,
  bandwidthLimit,
  buffer,
  compressor,
  cors,
  csrf,
  decompressor,
  dynamicForwardProxyFilter,
  errorRateBreaker,
  fault,
  grpcStats,
  grpcWeb,
  headerMutation,
  headerToMetadata,
  healthCheck,
  localRateLimit,
  rateLimit,
  rbacFilter,
  router,
  setMetadata,
  statefulSession,
  tap,
];
