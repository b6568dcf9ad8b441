// Envoy and Weft side by side under one control plane, and what each does with the same request.
import { setTimeout as delay } from 'node:timers/promises';
import { Backends, isMirror } from './backends.js';
import { differences, hopHeaders } from './compare.js';
import { EnvoySide } from './envoy-side.js';
import type { Answer } from './exchange.js';
import { unexpected } from './known-differences.js';
import type { Case, Difference, JsonObject, Observation, Table } from './model.js';
import { WeftSide } from './weft-side.js';

export interface Outcome {
  envoy: Observation;
  weft: Observation;
  /** Those that no known one covers. */
  differences: Difference[];
  /** Names of the known differences that were seen. */
  known: ReadonlySet<string>;
}

/** Requests in flight on each side. */
const concurrency = 32;
/** So many that a random choice among few hosts hardly ever stays the same. */
const repetitions = 8;

export class Arena {
  /** As both sides have them. */
  readonly clusters: readonly JsonObject[];
  readonly backends: Backends;
  readonly #envoy: EnvoySide;
  readonly #weft: WeftSide;
  #names = 0;
  #ids = 0;
  /** How far Envoy's log was read, and the tables it says are refused. */
  #logRead = 0;
  readonly #refusals = new Map<string, string>();

  private constructor(clusters: readonly JsonObject[], backends: Backends, envoy: EnvoySide, weft: WeftSide) {
    this.clusters = clusters;
    this.backends = backends;
    this.#envoy = envoy;
    this.#weft = weft;
  }

  static async start(envoyBinary: string, clusters: (backends: Backends) => Promise<JsonObject[]>): Promise<Arena> {
    const backends = new Backends();
    const weft = await WeftSide.start();
    const resources = await clusters(backends);
    weft.source.set('clusters', resources);
    const arena = new Arena(resources, backends, await EnvoySide.start(envoyBinary, weft.mesh.controlPlane.xds), weft);
    await arena.#clustersReady();
    return arena;
  }

  /** Envoy may open a listener before it has every cluster. */
  async #clustersReady(): Promise<void> {
    const end = performance.now() + 20_000;
    const routes = { name: 'ready', validate_clusters: false, virtual_hosts: [{ name: 'any', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster_header: 'x-cluster' } }] }] };
    const table: Table = { httpFilters: [{ name: 'envoy.filters.http.router', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } }], routes };
    const cases = this.clusters.map(({ name }): Case => ({ table, request: { method: 'GET', path: '/', authority: 'a', headers: [['x-cluster', String(name)]], script: [] } }));
    for (;;) {
      const outcomes = await this.#runOnce(cases);
      if (outcomes.every(({ envoy }) => envoy.details !== 'cluster_not_found')) return;
      if (performance.now() > end) throw new Error(`Envoy has no clusters: ${this.#envoy.log().slice(-2000)}`);
    }
  }

  /** Runs every request against its table, on both sides. Tables are gone afterwards. */
  async run(cases: readonly Case[], { once = false }: { once?: boolean } = {}): Promise<Outcome[]> {
    const outcomes = await this.#runOnce(cases);
    // Twice: among thousands of cases some are unlucky.
    if (!once) for (let round = 0; round < 2; round++) await this.#forgiveChance(cases, outcomes);
    return outcomes;
  }

  /**
   * Hosts are chosen at random where there is no hash, and a machine under load lets timeouts pass. Cases that differ are run again:
   * what does not stay is forgiven where both sides vary and agree at times, or where they agree in all repetitions but one. A failure
   * is what differs more often, in both rounds: a race in Weft shows sooner or later, and is a bug like any other.
   */
  async #forgiveChance(cases: readonly Case[], outcomes: Outcome[]): Promise<void> {
    const doubtful = outcomes.flatMap((outcome, i) => (outcome.differences.length > 0 ? [i] : []));
    if (doubtful.length === 0) return;
    const again = await this.#runOnce(doubtful.flatMap((i) => Array.from({ length: repetitions }, () => cases[i]!)));
    doubtful.forEach((i, n) => {
      const runs = again.slice(n * repetitions, (n + 1) * repetitions);
      const steady = runs.filter((run) => run.differences.length === 0);
      const all = [outcomes[i]!, ...runs];
      const varies = (side: 'envoy' | 'weft') => new Set(all.map((run) => summary(run[side]))).size > 1;
      const agreeing = steady.length >= repetitions - 1 ? steady[0] : varies('envoy') && varies('weft') ? this.#agreeing(cases[i]!, all) : undefined;
      if (agreeing) outcomes[i] = agreeing;
      else if (outcomes[i]!.differences.every((one) => isRandomHost(one, all))) outcomes[i] = { ...outcomes[i]!, differences: [] };
    });
  }

  /** Whether what one side did in one run is what the other did in another. */
  #agreeing(one: Case, runs: readonly Outcome[]): Outcome | undefined {
    for (const { envoy } of runs) {
      for (const { weft } of runs) {
        const outcome = compared(one, envoy, weft);
        if (outcome.differences.length === 0) return outcome;
      }
    }
    return undefined;
  }

  async #runOnce(cases: readonly Case[]): Promise<Outcome[]> {
    const part = `tables-${++this.#names}`;
    const names = new Map<Table, string>();
    for (const { table } of cases) if (!names.has(table)) names.set(table, `t${++this.#names}`);
    this.#weft.source.set(part, [...names].flatMap(([table, name]) => [this.#envoy.listener(name, table), this.#weft.listener(name, table)]));
    if (this.#weft.problems.length > 0) throw new Error(`the control plane cannot read the resources: ${this.#weft.problems.join('\n')}`);
    await this.#settled([...names.values()]);
    const results = await pooled(cases, async ({ table, request }) => {
      const name = names.get(table)!;
      const id = String(++this.#ids);
      const [envoy, weft] = await Promise.all([
        this.#envoy.has(name) ? this.#envoy.send(name, `e${id}`, request) : refused(this.#envoyReason(name)),
        this.#weft.send(name, `w${id}`, request),
      ]);
      return { id, envoy, weft };
    });
    // Mirrors are on their way when their request is answered already.
    while (performance.now() - this.backends.lastArrival < 40) await delay(10);
    const outcomes = results.map(({ id, envoy, weft }, i) => compared(cases[i]!, this.#observe(`e${id}`, envoy), this.#observe(`w${id}`, weft)));
    this.#weft.source.remove(part);
    await Promise.all([...names.values()].map((name) => this.#envoy.forget(name)));
    return outcomes;
  }

  #observe(id: string, answer: Answer): Observation {
    const arrivals = this.backends.take(id);
    return { ...answer, attempts: arrivals.filter((arrival) => !isMirror(arrival)), mirrored: arrivals.filter(isMirror) };
  }

  /** Waits for Envoy's listeners; those that it refused are named in its log. */
  async #settled(names: readonly string[]): Promise<void> {
    const end = performance.now() + 20_000;
    let missing = names;
    for (;;) {
      missing = (await Promise.all(missing.map(async (name) => ((await this.#envoy.accepts(name)) ? [] : [name])))).flat();
      if (missing.every((name) => this.#envoyReason(name) !== '')) return;
      if (performance.now() > end) throw new Error(`Envoy has no listeners ${missing.join(', ')}: ${this.#envoy.log().slice(-2000)}`);
      await delay(10);
    }
  }

  #envoyReason(name: string): string {
    const log = this.#envoy.log();
    const end = log.lastIndexOf('\n') + 1;
    for (const line of log.slice(this.#logRead, end).split('\n')) {
      for (const [, refusedName] of line.matchAll(/envoy-(t\d+)\b/g)) if (/rejected|error/i.test(line)) this.#refusals.set(refusedName!, line.replace(/^.*?rejected: /, ''));
    }
    this.#logRead = end;
    return this.#refusals.get(name) ?? '';
  }

  /** What Envoy logged: warnings and worse. */
  envoyLog(): string {
    return this.#envoy.log();
  }

  async close(): Promise<void> {
    await this.#envoy.close();
    await this.#weft.close();
    await this.backends.close();
  }
}

function compared({ request }: Case, envoy: Observation, weft: Observation): Outcome {
  return { envoy, weft, ...unexpected(differences(envoy, weft), { request, envoy, weft }) };
}

/** Whether only the host of an attempt differs, and both sides send that attempt to another host each time. */
function isRandomHost({ field }: Difference, runs: readonly Outcome[]): boolean {
  const attempt = /^attempt (\d+) host$/.exec(field)?.[1];
  if (attempt === undefined) return false;
  const hosts = (side: 'envoy' | 'weft') => new Set(runs.map((run) => run[side].attempts[Number(attempt)]?.host));
  return hosts('envoy').size > 1 && hosts('weft').size > 1;
}

function refused(reason: string): Answer {
  return { status: 0, headers: {}, body: '', flags: '', details: '', cluster: '', route: '', error: `refused: ${reason}` };
}

/** All of it but what is new in every run. */
function summary({ status, headers, flags, cluster, route, attempts }: Observation): string {
  return JSON.stringify([status, flags, cluster, route, Object.entries(headers).filter(([name]) => !hopHeaders.has(name)), attempts.map(({ host }) => host)]);
}

async function pooled<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await run(items[i]!);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return results;
}
