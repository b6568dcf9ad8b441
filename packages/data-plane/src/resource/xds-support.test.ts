// docs/xds-support.md is what operators read, the decoders' lists are what is true: they must say the same. The table of messages is
// made from the lists: after a change of a decoder, WEFT_UPDATE_GOLDEN=1, and read the difference.
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import './decoders.js';
import { knownFieldLists } from './report.js';

const file = new URL('../../../../docs/xds-support.md', import.meta.url);
const [before = '', afterHeading = ''] = readFileSync(file, 'utf8').split(/(?<=## Messages\n\n)/);
const written = afterHeading.slice(0, afterHeading.indexOf('\n\n## '));
const after = afterHeading.slice(written.length);

function cell(names: readonly string[]): string {
  return names.length === 0 ? '–' : names.toSorted().map((name) => `\`${name}\``).join(', ');
}

function table(): string {
  const rows = knownFieldLists.map(({ message, reads, ignores, rejects }) => `| \`${message}\` | ${cell(reads)} | ${cell(ignores)} | ${cell(rejects)} |`);
  return ['| message | supported | accepted, without effect | refused |', '|---|---|---|---|', ...rows.toSorted()].join('\n');
}

test('the table of docs/xds-support.md holds every message that is decoded, with all its fields', () => {
  if (process.env['WEFT_UPDATE_GOLDEN']) writeFileSync(file, before + table() + after);
  else expect(written).toBe(table());
});

test('every field that is accepted without effect has its reason below the table', () => {
  const reasons = after.slice(after.indexOf('## Accepted, without effect'));
  const unexplained = knownFieldLists.flatMap(({ message, ignores }) => ignores.filter((name) => !reasons.includes(`\`${name}\``)).map((name) => `${message}.${name}`));
  expect(unexplained).toEqual([]);
});
