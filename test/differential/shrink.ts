// Makes a differing case small: whatever can go without the difference going, goes.
import type { Arena } from './arena.js';
import { kindOf } from './compare.js';
import type { Case, Difference, Json, JsonObject } from './model.js';

/** A place in a case's JSON (`/table/routes/virtual_hosts/0`), and what it becomes; undefined: it goes. */
type Edits = ReadonlyMap<string, Json | undefined>;

const maxRounds = 20;

/** The smallest case found that differs in the same way. */
export async function shrink(arena: Arena, from: Case, difference: Difference): Promise<Case> {
  let current = from;
  // Large parts first: what is in them need not be tried.
  let depth = 4;
  for (let round = 0; round < maxRounds; round++) {
    const single = editsOf(current).filter(([path]) => path.split('/').length <= depth + 1).map(([path, value]): Edits => new Map([[path, value]]));
    const working = await those(arena, current, single, difference);
    if (working.length === 0) {
      if (depth > 14) break;
      depth += 2;
      continue;
    }
    // Edits that each work often work together: a prefix that does is taken.
    const together = lengths(working.length).map((length): Edits => new Map(working.slice(0, length).flatMap((edit) => [...edit])));
    const best = (await those(arena, current, together, difference)).at(-1) ?? working[0]!;
    current = apply(current, best);
  }
  return current;
}

async function those(arena: Arena, base: Case, candidates: readonly Edits[], difference: Difference): Promise<Edits[]> {
  // Only hosts are chosen at random where the case's own choices are kept.
  const outcomes = await arena.run(candidates.map((edits) => apply(base, edits)), { once: !difference.field.endsWith(' host') });
  return candidates.filter((_edits, i) => outcomes[i]!.differences.some((one) => kindOf(one) === kindOf(difference)));
}

/** 1, 2, 4, … and all. */
function lengths(count: number): number[] {
  const found: number[] = [];
  for (let length = 1; length < count; length *= 2) found.push(length);
  return [...found, count];
}

function apply(base: Case, edits: Edits): Case {
  return edited(base as unknown as JsonObject, edits, '') as unknown as Case;
}

function edited(value: Json, edits: Edits, path: string): Json | undefined {
  if (edits.has(path)) return edits.get(path);
  if (Array.isArray(value)) return value.map((item, i) => edited(item, edits, `${path}/${i}`)).filter((item) => item !== undefined);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, edited(item, edits, `${path}/${key}`)] as const).filter((entry): entry is [string, Json] => entry[1] !== undefined));
}

/** Parts of a request that cannot go, and what they may become instead. */
const simpler: Readonly<Record<string, Json>> = { '/request/method': 'GET', '/request/path': '/', '/request/authority': 'a' };
const required = /^\/(table|request)(\/(httpFilters|routes|headers|script))?$|\/@type$|\/virtual_hosts\/\d+\/name$|\/header_name$|^\/table\/httpFilters\/\d+\/(name|typed_config)$|\/(match|header|header\/key|direct_response\/status)$|\/request\/headers\/\d+\/\d+$|\/request\/script\/\d+\/headers\/\d+\/\d+$/;

function editsOf(from: Case): [string, Json | undefined][] {
  const edits: [string, Json | undefined][] = [];
  const walk = (value: Json, path: string) => {
    const easy = simpler[path] ?? (path.endsWith('/match') ? { prefix: '/' } : path.endsWith('/domains') ? ['*'] : undefined);
    if (easy !== undefined) {
      if (JSON.stringify(easy) !== JSON.stringify(value)) edits.push([path, easy]);
      if (path in simpler) return;
    } else if (path !== '' && !required.test(path) && !isChoosingNumber(value)) edits.push([path, undefined]);
    if (value !== null && typeof value === 'object') for (const [key, item] of Object.entries(value)) walk(item as Json, `${path}/${key}`);
  };
  walk(from as unknown as JsonObject, '');
  return edits;
}

/** The number by which weighted clusters are chosen: without it the case would be one of chance. */
function isChoosingNumber(value: Json): boolean {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && value[0].toLowerCase() === 'x-num';
}

/** Resources and request as JSON, with what each side did. Where the small case agrees when it is run once more, also the case as it was first seen. */
export async function reproduction(arena: Arena, small: Case, from: Case, first: readonly Difference[]): Promise<string> {
  const [outcome] = await arena.run([small], { once: true });
  const now = described(arena, small, outcome!.differences);
  if (outcome!.differences.length > 0) return now;
  return `  agrees when it is run again; as it was first seen:\n${described(arena, from, first)}\n  and as it agrees now:\n${now}`;
}

function described(arena: Arena, one: Case, differences: readonly Difference[]): string {
  const text = JSON.stringify(one);
  const clusters = arena.clusters.filter(({ name }) => text.includes(JSON.stringify(name)) || text.includes('"x-cluster"'));
  return [
    ...differences.map(({ field, envoy, weft }) => `  ${field}: Envoy ${envoy}, Weft ${weft}`),
    `  route_config ${JSON.stringify(one.table.routes)}`,
    `  http_filters ${JSON.stringify(one.table.httpFilters)}`,
    `  clusters ${JSON.stringify(clusters)}`,
    `  request ${JSON.stringify(one.request)}`,
  ].join('\n');
}
