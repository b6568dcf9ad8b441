// Runs the tests and ends with one plain line: `N passed, N failed` (and `, N skipped`).
// Arguments are vitest's own filters and options; with some, only what they choose runs.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

const report = join(root, '.cache', 'test', 'report.json');
mkdirSync(join(root, '.cache', 'test'), { recursive: true });
rmSync(report, { force: true });
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit' },
);
let counts;
try {
  counts = JSON.parse(readFileSync(report, 'utf8'));
} catch {
  process.stderr.write('test: vitest wrote no report\n');
  process.exit(1);
}
const unnamed = counts.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
for (const file of unnamed) process.stdout.write(`failed before its first test: ${file.name}\n`);
for (const file of counts.testResults) {
  for (const test of file.assertionResults) {
    if (test.status === 'pending' || test.status === 'skipped') process.stdout.write(`skipped: ${test.fullName}\n`);
  }
}
const failed = counts.numFailedTests + unnamed.length;
const skipped = counts.numPendingTests + counts.numTodoTests;
process.stdout.write(`${counts.numPassedTests} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}\n`);
process.exit(status === 0 && failed === 0 && counts.numPassedTests > 0 ? 0 : status || 1);
