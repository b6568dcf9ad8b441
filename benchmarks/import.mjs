// What importing the client costs a new process, beside the libraries it stands on.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const script = (specifiers) => `
  const before = process.memoryUsage().rss;
  const began = performance.now();
  for (const specifier of ${JSON.stringify(specifiers)}) await import(specifier);
  console.log(JSON.stringify({ ms: performance.now() - began, mb: (process.memoryUsage().rss - before) / 1e6 }));`;
const cases = [
  ['undici and @grpc/grpc-js (baseline)', ['undici', '@grpc/grpc-js']],
  ['@weft/client', ['@weft/client']],
  ['@weft/client and @weft/server', ['@weft/client', '@weft/server']],
];
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
const results = cases.map(() => []);
for (let round = 0; round < 7; round += 1) {
  for (const [index, [, specifiers]] of cases.entries()) {
    results[index].push(JSON.parse(execFileSync(process.execPath, ['--input-type=module', '--eval', script(specifiers)], { encoding: 'utf8', cwd: here })));
  }
}
console.log('median of 7 interleaved rounds:');
const base = { ms: median(results[0].map(({ ms }) => ms)), mb: median(results[0].map(({ mb }) => mb)) };
for (const [index, [name]] of cases.entries()) {
  const ms = median(results[index].map((result) => result.ms));
  const mb = median(results[index].map((result) => result.mb));
  console.log(`  ${name.padEnd(38)} ${ms.toFixed(0).padStart(4)} ms  +${mb.toFixed(0)} MB   ratio ${(ms / base.ms).toFixed(2)} time, ${(mb / base.mb).toFixed(2)} memory`);
}
