// Makes a checkout ready: a recent enough Node.js, dependencies, generated code, build. Needs git, npm and Node >= 20.
// Each step looks at what it depends on and does nothing where that has not changed.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const toolsNode = join(root, 'tools', 'node');
const toolsBin = join(toolsNode, 'node_modules', '.bin');

/** Whether Weft runs on this version: the security releases of June 2026, see docs/architecture.md. */
export function isSupportedNode(version) {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number);
  return major === 22 ? minor >= 23 : major === 24 ? minor >= 17 : major > 24;
}

/** Runs all steps and returns the environment that commands of this checkout should run in. */
export function setup({ quiet = false } = {}) {
  const say = (text) => process.stderr.write(`setup: ${text}\n`);
  const env = { ...process.env };
  const started = Date.now();
  let work = 0;
  const step = (text, run) => {
    work += 1;
    say(text);
    run();
  };

  if (!isSupportedNode(process.version)) {
    env.PATH = `${toolsBin}${delimiter}${env.PATH}`;
    const executable = join(toolsBin, process.platform === 'win32' ? 'node.cmd' : 'node');
    const wanted = hash([join(toolsNode, 'package-lock.json')]);
    if (!existsSync(executable) || stamp('node') !== wanted) {
      step(`Node.js ${process.version} is too old for Weft; installing one into tools/node`, () => npm(['ci', '--prefix', toolsNode], env));
      if (!existsSync(executable)) {
        throw new Error(
          `npm has no suitable Node.js for ${process.platform}-${process.arch}. Install Node.js 24.17 or newer (https://nodejs.org/en/download) and run this again.`,
        );
      }
      writeStamp('node', wanted);
    }
  }

  const lock = hash([join(root, 'package-lock.json')]);
  if (!existsSync(join(root, 'node_modules', 'typescript')) || stamp('install') !== lock) {
    step('installing dependencies (npm ci)', () => npm(['ci'], env));
    writeStamp('install', lock);
  }

  const api = join(root, 'packages', 'xds-api');
  const inputs = hash([join(root, 'package-lock.json'), join(api, 'buf.gen.yaml'), join(api, 'scripts', 'generate.mjs'), ...filesIn(join(api, 'proto'))]);
  if (!existsSync(join(api, 'src', 'gen', 'all.ts')) || stamp('generate') !== inputs) {
    step('generating xDS code from its protobuf definitions', () => command('node', [join(api, 'scripts', 'generate.mjs')], env));
    writeStamp('generate', inputs);
  }

  if (!quiet) say('building (tsc -b, then the code of each package)');
  command(join(root, 'node_modules', '.bin', 'tsc'), ['-b'], env);
  command('node', [join(root, 'scripts', 'bundle.mjs')], env);
  if (!quiet || work > 0) say(`ready in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return env;
}

function npm(args, env) {
  command('npm', [...args, '--no-audit', '--no-fund', '--loglevel', 'error'], env);
}

function command(file, args, env) {
  const { status, error } = spawnSync(file, args, { cwd: root, env, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${[file, ...args].join(' ')} failed with exit code ${status}`);
}

function filesIn(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function hash(files) {
  const sum = createHash('sha256');
  for (const file of files) sum.update(readFileSync(file)).update('\0');
  return sum.digest('hex');
}

/** What a step was last done for; kept beside node_modules, so that removing those repeats the step. */
function stampFile(name) {
  return join(name === 'node' ? join(toolsNode, 'node_modules') : join(root, 'node_modules'), `.weft-${name}`);
}
function stamp(name) {
  return existsSync(stampFile(name)) ? readFileSync(stampFile(name), 'utf8') : undefined;
}
function writeStamp(name, value) {
  mkdirSync(dirname(stampFile(name)), { recursive: true });
  writeFileSync(stampFile(name), value);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const env = setup();
    const version = execFileSync('node', ['--version'], { env, encoding: 'utf8' }).trim();
    process.stderr.write(`setup: commands of this checkout run on Node.js ${version}\n`);
  } catch (error) {
    process.stderr.write(`setup: ${error.message}\n`);
    process.exit(1);
  }
}
