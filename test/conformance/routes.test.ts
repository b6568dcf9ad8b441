import { internalRedirectCases, rewriteCases, routeMatchCases } from './cases/routing.js';
import { conformance } from './conformance.js';

conformance('route matches', routeMatchCases);
conformance('rewrites', rewriteCases);
conformance('internal redirects', internalRedirectCases);
