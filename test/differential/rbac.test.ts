// Authorization policies by a real Envoy's RBAC filter and by a Weft server: the same verdict, or a stricter one for a reason in docs/envoy-differences.md.
import { describe, expect, it } from 'vitest';
import { peers } from '../../scripts/peers.mjs';
import { seededRandom } from '../support/random.js';
import { Draw } from './generate/draw.js';
import { rbacRequest, rules } from './generate/filter-rbac.js';
import { knownRbacDifferences } from './known-differences.js';
import { rbacVerdicts, type RbacCase } from './rbac-arena.js';

const { envoy } = peers();
const wanted = Math.ceil(Number(process.env['WEFT_DIFFERENTIAL_CASES'] ?? 10_000) / 2);
const requestsPerTable = 10;

describe.skipIf(envoy.missing !== undefined)(`a Weft server judges as Envoy 1.40 does${envoy.missing ? ` (skipped: ${envoy.missing})` : ''}`, () => {
  const random = seededRandom(Number(process.env['WEFT_SEED'] ?? 1));

  it(`in ${wanted} random cases (WEFT_SEED=${random.seed})`, { timeout: 120_000 + wanted * 10 }, async () => {
    const draw = new Draw(random);
    const cases = Array.from({ length: Math.ceil(wanted / requestsPerTable) }, () => rules(draw)).flatMap((one) => Array.from({ length: requestsPerTable }, (): RbacCase => ({ rules: one, request: rbacRequest(draw) })));
    const outcomes = await rbacVerdicts(envoy.path as string, cases);
    const known = new Map<string, number>();
    const differing = outcomes.flatMap((outcome, i) => {
      if (outcome.envoy === outcome.weft) return [];
      const entry = knownRbacDifferences.find(({ covers }) => covers(outcome, cases[i]!));
      if (entry) known.set(entry.name, (known.get(entry.name) ?? 0) + 1);
      return entry ? [] : [`Envoy ${outcome.envoy}, Weft ${outcome.weft}: ${JSON.stringify(cases[i])}`];
    });
    expect(differing.toSorted((a, b) => a.length - b.length).slice(0, 5).join('\n'), `WEFT_SEED=${random.seed}: ${differing.length} cases, the shortest of them`).toBe('');
    // They explain few cases, or they would hide others.
    for (const [name, count] of known) expect(count, name).toBeLessThan(wanted / 20);
    const unseen = knownRbacDifferences.filter(({ name }) => !known.has(name));
    if (wanted >= 5000) expect(unseen).toEqual([]);
    const denied = outcomes.filter(({ envoy: verdict }) => verdict !== 'allowed').length;
    expect(denied).toBeGreaterThan(wanted / 5);
    expect(outcomes.length - denied).toBeGreaterThan(wanted / 5);
  });
});
