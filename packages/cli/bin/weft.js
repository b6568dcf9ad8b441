#!/usr/bin/env node
// Starts weft on a Node.js that it runs on: the running one, or the one in tools/node of a checkout.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const main = join(here, '..', 'dist', 'main.js');
const [major, minor] = process.versions.node.split('.').map(Number);
const supported = major === 22 ? minor >= 23 : major === 24 ? minor >= 17 : major > 24;

if (!existsSync(main)) {
  process.stderr.write('weft: this checkout is not built yet: run `npm run setup`\n');
  process.exit(1);
}
if (supported) {
  const { main: run } = await import(pathToFileURL(main).href);
  process.exitCode = await run(process.argv.slice(2));
} else {
  const other = join(here, '..', '..', '..', 'tools', 'node', 'node_modules', '.bin', process.platform === 'win32' ? 'node.cmd' : 'node');
  if (!existsSync(other)) {
    process.stderr.write(`weft: Node.js ${process.version} is too old: 22.23, 24.17 or newer is needed\n`);
    process.exit(1);
  }
  const child = spawn(other, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
}
