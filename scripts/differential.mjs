// Compares Weft with a real Envoy on random cases: `npm run differential -- [--cases N] [--seed S]` (docs/envoy-differences.md).
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './setup.mjs';

let values;
try {
  ({ values } = parseArgs({ options: { cases: { type: 'string', default: '10000' }, seed: { type: 'string', default: String(randomInt(2 ** 31)) } } }));
  for (const [name, value] of Object.entries(values)) if (!/^\d{1,10}$/.test(value)) throw new Error(`--${name} must be a number, not ${value}`);
} catch (error) {
  process.stderr.write(`differential: ${error.message}\nusage: npm run differential -- [--cases N] [--seed S]\n`);
  process.exit(2);
}
process.stdout.write(`differential: ${values.cases} cases, seed ${values.seed}\n`);
const env = { ...process.env, WEFT_DIFFERENTIAL_CASES: values.cases, WEFT_SEED: values.seed };
const { status } = spawnSync(process.execPath, [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', 'test/differential'], { cwd: root, env, stdio: 'inherit' });
process.exit(status ?? 1);
