// What `weft explain` says of one request: the keys of docs/contracts.md 6, in their order.
import type { RequestRecorder } from '../outbound/request-recorder.js';
import type { RetryState } from '../outbound/retry-state.js';
import type { HeaderEdits } from '../route/header-mutation.js';
import type { SelectedRoute } from '../route/route-table.js';

/** What the route's header edits did to this request. Names are in lower case; several values of one name are a list. */
export interface ExplainedEdits {
  /** The header has this value afterwards, and no other. */
  set: Record<string, string>;
  append: Record<string, string | string[]>;
  remove: string[];
}

export interface Explanation {
  listener?: string;
  virtualHost?: string;
  /** Its name, else `#INDEX` in its virtual host. */
  route?: string;
  action: 'route' | 'redirect' | 'direct_response' | 'none';
  cluster?: string;
  /** Of weighted clusters: all there are. */
  clusters?: { name: string; weight: number }[];
  /** As they are sent. */
  path?: string;
  authority?: string;
  location?: string;
  /** Of an answer that the mesh gives itself. */
  status?: number;
  requestHeaders?: ExplainedEdits;
  responseHeaders?: ExplainedEdits;
  /** The whole request, retries included; 0 = none. */
  timeoutMs?: number;
  /** `on`: the words, separated by commas. `attempts`: retries after the first attempt (Istio's `retries.attempts`, Envoy's `num_retries`). */
  retry?: { on: string; attempts: number; perTryTimeoutMs?: number };
  /** Of the hash policies, 64 bits unsigned, decimal. */
  hash?: string;
  /** The endpoint that the hash belongs to, where there are endpoints. */
  host?: string;
  mirrors?: string[];
  filters?: { name: string; verdict: string }[];
  /** What did not match, and the first matcher of each that said no. */
  why: string[];
}

const order: readonly (keyof Explanation)[] = ['listener', 'virtualHost', 'route', 'action', 'cluster', 'clusters', 'path', 'authority', 'location', 'status', 'requestHeaders', 'responseHeaders', 'timeoutMs', 'retry', 'hash', 'host', 'mirrors', 'filters', 'why'];

export function inOrder(explanation: Explanation): Explanation {
  return Object.fromEntries(order.flatMap((key) => (explanation[key] === undefined ? [] : [[key, explanation[key]]]))) as unknown as Explanation;
}

class Edits implements HeaderEdits {
  readonly said: ExplainedEdits = { set: {}, append: {}, remove: [] };

  set(name: string, value: string): void {
    this.said.set[name] = value;
    delete this.said.append[name];
  }

  append(name: string, value: string): void {
    const before = this.said.append[name];
    this.said.append[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }

  remove(name: string): void {
    if (!this.said.remove.includes(name)) this.said.remove.push(name);
    // A later level took away what an earlier one had added.
    delete this.said.set[name];
    delete this.said.append[name];
  }

  get any(): boolean {
    const { set, append, remove } = this.said;
    return remove.length > 0 || Object.keys(set).length > 0 || Object.keys(append).length > 0;
  }
}

/** Collects what one request meets. */
export class Recording implements RequestRecorder {
  readonly lines: string[] = [];
  readonly requestEdits = new Edits();
  readonly responseEdits = new Edits();
  readonly filters: { name: string; verdict: string }[] = [];
  virtualHost: string | undefined;
  route: SelectedRoute | undefined;
  plan: Parameters<RequestRecorder['forwarding']>[0] | undefined;
  retry: Explanation['retry'];
  /** What the filter that is being asked waits for. */
  delayMs: number | undefined;

  readonly why = (line: string): void => void this.lines.push(line);

  readonly verdict = (name: string, verdict: string): void => {
    const delayed = this.delayMs === undefined ? verdict : `delay ${this.delayMs} ms, ${verdict}`;
    const before = this.filters.at(-1);
    if (before?.name === name && before.verdict === 'waits') before.verdict = delayed;
    else this.filters.push({ name, verdict });
    if (verdict !== 'waits') this.delayMs = undefined;
  };

  inVirtualHost({ name }: { readonly name: string }): void {
    this.virtualHost = name;
  }

  routed(route: SelectedRoute): void {
    this.route = route;
  }

  forwarding(plan: Parameters<RequestRecorder['forwarding']>[0]): void {
    this.plan = plan;
    // Now: the answer that is made up may be one that is retried.
    if (plan.retry) this.retry = describeRetry(plan.retry, plan.timeouts.perTryMs);
  }
}

export function describeRoute(explanation: Explanation, { virtualHost, entry, action, cluster }: SelectedRoute): void {
  explanation.route = entry.name !== '' ? entry.name : virtualHost.routes.includes(entry) ? `#${virtualHost.routes.indexOf(entry)}` : 'require_tls';
  explanation.action = ({ route: 'route', redirect: 'redirect', 'direct-response': 'direct_response', 'non-forwarding': 'none' } as const)[action.kind];
  if (action.kind !== 'route') return;
  if (cluster !== undefined) explanation.cluster = cluster;
  if (action.cluster.kind === 'weighted') explanation.clusters = action.cluster.clusters.map(({ name, weight }) => ({ name, weight }));
}

export function describePlan(explanation: Explanation, { timeouts, hash }: NonNullable<Recording['plan']>, retry: Explanation['retry']): void {
  explanation.timeoutMs = timeouts.routeMs;
  if (retry) explanation.retry = retry;
  if (hash !== undefined) explanation.hash = String(BigInt.asUintN(64, hash));
}

function describeRetry(retry: RetryState, perTryMs: number): NonNullable<Explanation['retry']> {
  return { on: retry.on.join(','), attempts: retry.left, ...(perTryMs > 0 && { perTryTimeoutMs: perTryMs }) };
}
