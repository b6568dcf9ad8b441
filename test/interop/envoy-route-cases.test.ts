// The conformance cases of routing through a real Envoy: what they expect of Weft is what Envoy does.
import { describe } from 'vitest';
import { peers } from '../../scripts/peers.mjs';
import { internalRedirectCases, rewriteCases, routeMatchCases } from '../conformance/cases/routing.js';
import { envoyConformance } from '../conformance/envoy-conformance.js';

const { envoy } = peers();

describe.skipIf(envoy.missing !== undefined)(`routes in Envoy 1.40${envoy.missing ? ` (skipped: ${envoy.missing})` : ''}`, () => {
  envoyConformance('route matches', envoy.path as string, routeMatchCases);
  envoyConformance('rewrites', envoy.path as string, rewriteCases);
  envoyConformance('internal redirects', envoy.path as string, internalRedirectCases);
});
