import type { HttpFilterFactory } from './http-filter.js';
import { bandwidthLimit } from './http/bandwidth-limit.js';
import { buffer } from './http/buffer.js';
import { compressor } from './http/compressor.js';
import { decompressor } from './http/decompressor.js';
import { dynamicForwardProxyFilter } from './http/dynamic-forward-proxy.js';
import { fault } from './http/fault.js';
import { grpcStats } from './http/grpc-stats.js';
import { grpcWeb } from './http/grpc-web.js';
import { rbacFilter } from './http/rbac.js';
import { router } from './http/router.js';
import { statefulSession } from './http/stateful-session.js';
import { tap } from './http/tap.js';

// Each factory is given only configurations that it parsed itself.
export const builtinFilters: readonly HttpFilterFactory[] = [bandwidthLimit, buffer, compressor, decompressor, dynamicForwardProxyFilter, fault, grpcStats, grpcWeb, rbacFilter, router, statefulSession, tap];
