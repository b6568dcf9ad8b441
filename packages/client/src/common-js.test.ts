import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

// The built package, as an application's CommonJS sees it: fails on a top-level await anywhere below.
test('require() works', () => {
  const script = "const { createMesh, MeshError } = require('@weft/client'); try { createMesh(); } catch (error) { console.log(error instanceof MeshError, error.code); }";
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(WEFT|GRPC_XDS|NODE_OPTIONS)/.test(name)));
  expect(execFileSync(process.execPath, ['-e', script], { cwd: import.meta.dirname, env, encoding: 'utf8' })).toBe('true WEFT_BOOTSTRAP_INVALID\n');
});
