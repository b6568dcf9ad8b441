import { bufferCases, throttleCases } from './cases/body-limits.js';
import { breakerCases, healthCheckCases, outlierCases } from './cases/cluster.js';
import { compressionCases, decompressionCases } from './cases/compression.js';
import { faultCases } from './cases/fault.js';
import { statefulSessionCases } from './cases/stateful-session.js';
import { conformance } from './conformance.js';

conformance('fault', faultCases);
conformance('health checks', healthCheckCases);
conformance('outlier detection', outlierCases);
conformance('circuit breakers', breakerCases);
conformance('buffer', bufferCases);
conformance('limited rates', throttleCases);
conformance('compressor', compressionCases);
conformance('decompressor', decompressionCases);
conformance('stateful session', statefulSessionCases);
