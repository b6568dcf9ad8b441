// `weft explain` for programs: apart from the rest, since it reads all message descriptors when it is imported.
export { explainResources } from './explain/raw-resources.js';
export type { Explained, ExplainedEdits, Explainer, Explanation, ExplainRequest } from '@weft/data-plane/explain';
