// `npm run bench [-- NAME…]`: each benchmark in a process of its own, one after the other.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const all = ['balancers', 'routes', 'http', 'grpc', 'everything', 'server', 'import', 'changes', 'control-plane-load'];
const chosen = process.argv.slice(2).length > 0 ? process.argv.slice(2) : all;
let failed = false;
for (const name of chosen) {
  if (!all.includes(name)) {
    process.stderr.write(`there is no benchmark ${name}; there are ${all.join(', ')}\n`);
    process.exit(2);
  }
  process.stdout.write(`\n## ${name}\n\n`);
  const { status } = spawnSync(process.execPath, [fileURLToPath(new URL(`${name}.mjs`, import.meta.url))], { stdio: 'inherit' });
  failed ||= status !== 0;
}
process.exit(failed ? 1 : 0);
