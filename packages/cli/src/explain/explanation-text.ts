// An explanation for people: one fact a line, aligned.
import type { ExplainedEdits, Explanation } from '@weft/data-plane/explain';

export function explanationText(request: { url: string; method?: string; random?: unknown }, explanation: Explanation): string {
  const lines: [string, string][] = [];
  const add = (label: string, value: string | number | undefined) => {
    if (value !== undefined) lines.push([label, String(value)]);
  };
  const { cluster, clusters, retry, timeoutMs } = explanation;
  add('listener', explanation.listener);
  add('virtual host', explanation.virtualHost);
  add('route', explanation.route);
  add('action', explanation.action);
  add('status', explanation.status);
  add('location', explanation.location);
  add('cluster', cluster);
  if (clusters) {
    const total = clusters.reduce((sum, { weight }) => sum + weight, 0);
    for (const { name, weight } of clusters) add('weight', `${weight} of ${total}  ${name}${name === cluster ? '  (chosen)' : ''}`);
    if (request.random === undefined) add('', 'chosen as with --random 0; live requests are spread by weight');
  }
  add('path', explanation.path);
  add('authority', explanation.authority);
  edits('request', explanation.requestHeaders);
  edits('response', explanation.responseHeaders);
  if (timeoutMs !== undefined) add('timeout', timeoutMs === 0 ? 'none' : `${timeoutMs} ms`);
  if (retry) add('retries', `${retry.attempts} on ${retry.on}${retry.perTryTimeoutMs === undefined ? '' : `, ${retry.perTryTimeoutMs} ms each try`}`);
  add('hash', explanation.hash);
  add('host', explanation.host);
  for (const mirror of explanation.mirrors ?? []) add('mirror', mirror);
  for (const { name, verdict } of explanation.filters ?? []) add('filter', `${name}: ${verdict}`);
  const width = Math.max(...lines.map(([label]) => label.length));
  const facts = lines.map(([label, value]) => `  ${label.padEnd(width)}  ${value}\n`).join('');
  const why = explanation.why.length === 0 ? '' : `  what did not match\n${explanation.why.map((line) => `    ${line}\n`).join('')}`;
  return `${request.method ?? 'GET'} ${request.url}\n${facts}${why}`;

  function edits(of: string, said: ExplainedEdits | undefined): void {
    if (!said) return;
    for (const [name, value] of Object.entries(said.set)) add(`${of} header`, `set ${name}: ${value}`);
    for (const [name, values] of Object.entries(said.append)) for (const value of Array.isArray(values) ? values : [values]) add(`${of} header`, `add ${name}: ${value}`);
    for (const name of said.remove) add(`${of} header`, `remove ${name}`);
  }
}
