import { conformance } from './conformance.js';
import { filterCases } from './filter-cases.js';

for (const [title, cases] of Object.entries(filterCases)) conformance(title, cases);
