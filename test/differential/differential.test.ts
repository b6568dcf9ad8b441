// The same resources and requests through a real Envoy and through Weft: what differs is a bug, or has its reason in docs/envoy-differences.md.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { peers } from '../../scripts/peers.mjs';
import { seededRandom } from '../support/random.js';
import { Arena, type Outcome } from './arena.js';
import { kindOf } from './compare.js';
import { contradictions } from './explain-side.js';
import { clusters } from './generate/clusters.js';
import { Draw } from './generate/draw.js';
import { request } from './generate/request.js';
import { table } from './generate/route-table.js';
import { knownDifferences, knownRbacDifferences } from './known-differences.js';
import type { Case } from './model.js';
import { reproduction, shrink } from './shrink.js';

const { envoy } = peers();
const wanted = Number(process.env['WEFT_DIFFERENTIAL_CASES'] ?? 10_000);
const requestsPerTable = 100;
const tablesPerBatch = 25;
/** Kinds of differences that are made small; more would take long, and say little more. */
const shrunkKinds = 5;

describe.skipIf(envoy.missing !== undefined)(`Weft decides as Envoy 1.40 does${envoy.missing ? ` (skipped: ${envoy.missing})` : ''}`, () => {
  // The default is fixed, so that a commit is judged by what it changes; every other seed finds something else.
  const random = seededRandom(Number(process.env['WEFT_SEED'] ?? 1));

  it(`in ${wanted} random cases (WEFT_SEED=${random.seed})`, { timeout: 240_000 + wanted * 20 }, async () => {
    const draw = new Draw(random);
    const arena = await Arena.start(envoy.path as string, (backends) => clusters(draw, backends));
    try {
      const known = new Set<string>();
      const details = new Map<string, number>();
      const lies: string[] = [];
      const found = new Map<string, { from: Case; outcome: Outcome; count: number }>();
      for (let done = 0; done < wanted; ) {
        const batch = Array.from({ length: Math.min(tablesPerBatch, Math.ceil((wanted - done) / requestsPerTable)) }, () => table(draw))
          .flatMap((one) => Array.from({ length: requestsPerTable }, (): Case => ({ table: one, request: request(draw) })));
        const outcomes = await arena.run(batch);
        outcomes.forEach((outcome, i) => {
          for (const name of outcome.known) known.add(name);
          details.set(outcome.envoy.details, (details.get(outcome.envoy.details) ?? 0) + 1);
          const [first] = outcome.differences;
          if (!first) return;
          const same = found.get(kindOf(first));
          if (same) same.count++;
          else found.set(kindOf(first), { from: batch[i]!, outcome, count: 1 });
        });
        // `weft explain` over the same resources, held against the same Envoy.
        for (let i = 0; i < batch.length; i += requestsPerTable) {
          const cases = batch.slice(i, i + requestsPerTable);
          (await contradictions(arena.clusters, cases, outcomes.slice(i, i + requestsPerTable).map((outcome) => outcome.envoy))).forEach((lines, j) => {
            if (lines.length > 0 && lies.length < 5) lies.push(`${lines.join('; ')}\n  route_config ${JSON.stringify(cases[j]!.table.routes)}\n  request ${JSON.stringify(cases[j]!.request)}`);
          });
        }
        done += batch.length;
      }
      const reports = lies.map((lie) => `weft explain: ${lie}`);
      for (const [kind, { from, outcome, count }] of found) {
        const small = reports.length - lies.length < shrunkKinds ? await shrink(arena, from, outcome.differences[0]!) : from;
        reports.push(`${kind}: ${count} cases\n${await reproduction(arena, small, from, outcome.differences)}`);
      }
      const unseen = knownDifferences.map(({ name }) => name).filter((name) => !known.has(name));
      if (unseen.length > 0 && wanted >= 10_000) console.warn(`known differences that did not occur: ${unseen.join(', ')}`);
      expect(reports.join('\n\n'), `WEFT_SEED=${random.seed}`).toBe('');
      // Random cases that all end alike would compare nothing.
      expect([...details].filter(([, count]) => count >= 10 && wanted >= 10_000).length).toBeGreaterThanOrEqual(wanted >= 10_000 ? 8 : 0);
    } finally {
      await arena.close();
    }
  });
});

it('every known difference has its reason in docs/envoy-differences.md, and nothing else has', () => {
  const text = readFileSync(new URL('../../docs/envoy-differences.md', import.meta.url), 'utf8');
  const documented = [...text.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name);
  expect(documented.toSorted()).toEqual([...knownDifferences, ...knownRbacDifferences].map(({ name }) => name).toSorted());
});
