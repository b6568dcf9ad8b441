// The conformance cases of filters through a real Envoy: what they expect of Weft is what Envoy does.
import { describe } from 'vitest';
import { peers } from '../../scripts/peers.mjs';
import { bufferCases, throttleCases } from '../conformance/cases/body-limits.js';
import { breakerCases, healthCheckCases, outlierCases } from '../conformance/cases/cluster.js';
import { compressionCases, decompressionCases } from '../conformance/cases/compression.js';
import { faultCases } from '../conformance/cases/fault.js';
import { statefulSessionCases } from '../conformance/cases/stateful-session.js';
import { envoyConformance } from '../conformance/envoy-conformance.js';

const { envoy } = peers();

describe.skipIf(envoy.missing !== undefined)(`filters in Envoy 1.40${envoy.missing ? ` (skipped: ${envoy.missing})` : ''}`, () => {
  envoyConformance('fault', envoy.path as string, faultCases);
  envoyConformance('health checks', envoy.path as string, healthCheckCases);
  envoyConformance('outlier detection', envoy.path as string, outlierCases);
  envoyConformance('circuit breakers', envoy.path as string, breakerCases);
  envoyConformance('buffer', envoy.path as string, bufferCases);
  envoyConformance('limited rates', envoy.path as string, throttleCases);
  envoyConformance('compressor', envoy.path as string, compressionCases);
  envoyConformance('decompressor', envoy.path as string, decompressionCases);
  envoyConformance('stateful session', envoy.path as string, statefulSessionCases);
});
