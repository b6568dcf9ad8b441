// What `weft explain` does: where each request goes, and why, without sending it.
import type { Explainer, ExplainRequest } from '@weft/data-plane/explain';
import { formatProblem } from '@weft/xds-server';
import type { NamespacedName } from './arguments.js';
import { CliError } from './cli-error.js';
import { loadConfig } from './config.js';
import { explainConfig } from './explain/config-resources.js';
import { readRequests, readText } from './explain/explain-requests.js';
import { explanationText } from './explain/explanation-text.js';
import { explainResources } from './explain/raw-resources.js';
import type { Output } from './output.js';

export interface ExplainOptions {
  config?: readonly string[];
  from?: NamespacedName;
  resources?: string;
  requests?: string;
  url?: string;
  method?: string;
  header?: readonly (readonly [string, string])[];
  random?: bigint;
  json?: boolean;
}

/** The options are those of one of the two forms of the command: checked by it. */
export async function explainRequests(options: ExplainOptions, output: Output): Promise<void> {
  const { explainer, errors } = options.resources === undefined ? await overConfig(options, output) : { explainer: overResources(options.resources), errors: 0 };
  const invalid = new Set<string>();
  try {
    let first = true;
    for (const request of requestsOf(options)) {
      const { explanation, error } = await explainer.explain(request);
      if (error) invalid.add(error.message);
      output.stdout(options.json ? `${JSON.stringify(explanation)}\n` : `${first ? '' : '\n'}${explanationText(request, explanation)}`);
      first = false;
    }
  } finally {
    explainer.close();
  }
  for (const message of invalid) output.stderr(`${message}\n`);
  if (invalid.size > 0) throw new CliError('a resource would be refused');
  if (errors > 0) throw new CliError('the configuration has errors; what is explained is what the rest of it means');
}

function requestsOf({ requests, url, method, header, random }: ExplainOptions): ExplainRequest[] {
  if (requests !== undefined) return readRequests(requests);
  return [{ url: url ?? '', ...(method !== undefined && { method }), ...(header && { headers: header }), ...(random !== undefined && { random }) }];
}

async function overConfig({ config = [], from = { namespace: 'default', name: '' } }: ExplainOptions, output: Output): Promise<{ explainer: Explainer; errors: number }> {
  const { model, problems } = await loadConfig(config);
  for (const problem of problems) output.stderr(`${formatProblem(problem)}\n`);
  const said = new Set<string>();
  const explainer = explainConfig(model, from, (warning) => {
    if (!said.has(warning)) output.stderr(`warning: ${warning}\n`);
    said.add(warning);
  });
  return { explainer, errors: problems.filter(({ severity }) => severity === 'error').length };
}

function overResources(file: string): Explainer {
  try {
    return explainResources(JSON.parse(readText(file)) as Parameters<typeof explainResources>[0]);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`${file}: ${(error as Error).message}`);
  }
}
