// What `weft explain` and comparisons with other proxies are built from. It reads all message descriptors when it is imported.
export { Explainer, type Explained, type ExplainerOptions, type ExplainRequest } from './explain/explainer.js';
export type { ExplainedEdits, Explanation } from './explain/explanation.js';
export type { ResourceSource } from './explain/fixed-resources.js';
export { resourceChecker } from './resource/resource-check.js';
export type { FieldProblem } from './xds/resource-type.js';
