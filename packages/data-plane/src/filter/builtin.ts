import type { HttpFilterFactory } from './http-filter.js';
import { fault } from './http/fault.js';
import { rbacFilter } from './http/rbac.js';
import { router } from './http/router.js';

// Each factory is given only configurations that it parsed itself.
export const builtinFilters: readonly HttpFilterFactory[] = [fault, rbacFilter, router];
