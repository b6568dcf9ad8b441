// Runs a command of this checkout on the right Node.js, after setup: `node scripts/run.mjs test [arguments]`.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';

const commands = {
  build: () => undefined,
  test: (args) => ['node', join(root, 'scripts', 'test.mjs'), ...args],
  check: (args) => ['node', join(root, 'scripts', 'check.mjs'), ...args],
  demo: (args) => ['node', join(root, 'examples', 'demo', 'demo.mjs'), ...args],
  differential: (args) => ['node', join(root, 'scripts', 'differential.mjs'), ...args],
  bench: (args) => ['node', join(root, 'benchmarks', 'run.mjs'), ...args],
};

const [name, ...args] = process.argv.slice(2);
const command = commands[name];
if (!command) {
  process.stderr.write(`usage: node scripts/run.mjs ${Object.keys(commands).join('|')}\n`);
  process.exit(2);
}
try {
  const env = setup();
  const line = command(args);
  if (line) {
    const child = spawn(line[0], line.slice(1), { cwd: root, env, stdio: 'inherit' });
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
    child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
  }
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
