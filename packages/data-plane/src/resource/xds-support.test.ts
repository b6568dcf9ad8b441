// docs/xds-support.md is what operators read, the decoders' lists are what is true: they must say the same.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import './decoders.js';
import { knownFieldLists } from './report.js';

const page = readFileSync(new URL('../../../../docs/xds-support.md', import.meta.url), 'utf8');

function cell(names: readonly string[]): string {
  return names.length === 0 ? '–' : names.toSorted().map((name) => `\`${name}\``).join(', ');
}

function table(): string[] {
  return knownFieldLists.map(({ message, reads, ignores, rejects }) => `| \`${message}\` | ${cell(reads)} | ${cell(ignores)} | ${cell(rejects)} |`).toSorted();
}

test('the table of docs/xds-support.md holds every message that is decoded, with all its fields', () => {
  const messages = page.slice(page.indexOf('## Messages'), page.indexOf('## Accepted, without effect'));
  expect(messages.split('\n').filter((line) => line.startsWith('| `'))).toEqual(table());
});

test('every field that is accepted without effect has its reason below the table', () => {
  const reasons = page.slice(page.indexOf('## Accepted, without effect'));
  const unexplained = knownFieldLists.flatMap(({ message, ignores }) => ignores.filter((name) => !reasons.includes(`\`${name}\``)).map((name) => `${message}.${name}`));
  expect(unexplained).toEqual([]);
});
