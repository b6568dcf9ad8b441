// The conformance cases of retries and timeouts through a real Envoy: what they expect of Weft is what Envoy does.
import { describe } from 'vitest';
import { peers } from '../../scripts/peers.mjs';
import { retryCases } from '../conformance/cases/retries.js';
import { envoyConformance } from '../conformance/envoy-conformance.js';

const { envoy } = peers();

describe.skipIf(envoy.missing !== undefined)(`retries in Envoy 1.40${envoy.missing ? ` (skipped: ${envoy.missing})` : ''}`, () => {
  envoyConformance('retries and timeouts', envoy.path as string, retryCases);
});
