import { faultCases } from './cases/fault.js';
import { conformance } from './conformance.js';

conformance('fault', faultCases);
