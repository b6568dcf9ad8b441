import { retryCases } from './cases/retries.js';
import { conformance } from './conformance.js';

conformance('retries and timeouts', retryCases);
