// `npm run check`: the rules of docs/architecture.md that a compiler does not see.
// Fails on an import against the package direction, an import cycle, generated types outside their allow-list, or lint.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Package → the packages of this repository it may import. */
const direction = {
  'xds-api': [],
  store: [],
  spiffe: ['xds-api'],
  'data-plane': ['xds-api', 'spiffe'],
  client: ['data-plane'],
  server: ['data-plane'],
  'xds-server': ['xds-api', 'spiffe', 'store'],
  ca: ['xds-api', 'spiffe', 'store'],
  cli: ['xds-server', 'ca', 'data-plane', 'client', 'server', 'store', 'spiffe', 'xds-api'],
};

/** Where generated messages may be used; everything else sees plain objects. */
const generatedAllowed = [
  'packages/xds-api/', 'packages/spiffe/src/source/', 'packages/data-plane/src/xds/', 'packages/data-plane/src/resource/',
  'packages/data-plane/src/filter/', 'packages/data-plane/src/load-balancing/', 'packages/data-plane/src/bootstrap/',
  'packages/xds-server/src/generate/', 'packages/xds-server/src/discovery/', 'packages/xds-server/src/config/raw', 'packages/ca/src/server/', 'packages/cli/', 'test/', 'benchmarks/',
];

/** Packages that only one place may import, with the reason. */
const confined = [
  { name: /^node-forge$/, allowed: ['packages/ca/src/certificate-builder', 'packages/ca/src/der/'], why: 'node-forge must never parse network input' },
];

export function check(root) {
  const problems = [];
  const files = sources(join(root, 'packages')).concat(sources(join(root, 'test')), sources(join(root, 'examples')), sources(join(root, 'benchmarks')));
  const graph = new Map();
  for (const file of files) {
    const name = relative(root, file).split(sep).join('/');
    const own = /^packages\/([^/]+)\//.exec(name)?.[1];
    const edges = [];
    for (const { specifier, typeOnly } of importsOf(readFileSync(file, 'utf8'))) {
      const weft = /^@weft\/([^/]+)/.exec(specifier)?.[1];
      if (weft && own && weft !== own && !name.endsWith('.test.ts') && !direction[own]?.includes(weft)) {
        problems.push(`${name}: @weft/${own} must not import @weft/${weft}`);
      }
      if (weft && own === weft) problems.push(`${name}: import files of the own package by relative path, not ${specifier}`);
      if (weft === 'xds-api' && !specifier.startsWith('@weft/xds-api/protobuf') && !generatedAllowed.some((prefix) => name.startsWith(prefix))) {
        problems.push(`${name}: generated types (${specifier}) are not allowed here`);
      }
      for (const rule of confined) {
        if (rule.name.test(specifier) && !rule.allowed.some((prefix) => name.startsWith(prefix))) problems.push(`${name}: ${specifier}: ${rule.why}`);
      }
      if (specifier.startsWith('.')) {
        const target = resolve(dirname(file), specifier);
        if (!existsSync(target) && !target.includes(`${sep}gen${sep}`) && !existsSync(target.replace(/\.js$/, '.ts'))) problems.push(`${name}: ${specifier} does not exist`);
        if (!typeOnly) edges.push(target);
      }
    }
    graph.set(file, edges);
  }
  problems.push(...dependencyProblems(root, files));
  for (const cycle of cycles(graph)) problems.push(`import cycle: ${cycle.map((file) => relative(root, file)).join(' → ')}`);
  return problems;
}

/** Each package declares what its code imports, and nothing else. */
function dependencyProblems(root, files) {
  const problems = [];
  for (const name of readdirSync(join(root, 'packages'))) {
    const folder = join(root, 'packages', name);
    const { dependencies = {}, peerDependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const used = { code: new Set(), tests: new Set() };
    for (const file of files.filter((path) => path.startsWith(folder + sep))) {
      const isTest = /\.test\.ts$|test-support|\/testing|\/test-|\/fixture/.test(file);
      for (const specifier of namedPackages(readFileSync(file, 'utf8'))) used[isTest ? 'tests' : 'code'].add(specifier);
    }
    for (const specifier of used.code) {
      if (!(specifier in dependencies) && !(specifier in peerDependencies)) problems.push(`packages/${name}/package.json: ${specifier} is imported but not declared`);
    }
    for (const declared of Object.keys(dependencies)) {
      if (!used.code.has(declared) && !(used.tests.has(declared) && declared.startsWith('@weft/'))) problems.push(`packages/${name}/package.json: ${declared} is declared but not imported`);
    }
  }
  return problems;
}

function namedPackages(text) {
  const found = new Set(importsOf(text).map(({ specifier }) => specifier));
  for (const match of text.matchAll(/createRequire\(import\.meta\.url\)\(\s*'([^']+)'/g)) found.add(match[1]);
  return [...found].filter((specifier) => !/^(\.|node:)/.test(specifier)).map((specifier) => specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/'));
}

function sources(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return ['node_modules', 'dist', 'gen', '.cache'].includes(entry.name) ? [] : sources(path);
    return /\.tsx?$/.test(entry.name) && !entry.name.endsWith('.d.ts') ? [path] : [];
  });
}

function importsOf(text) {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const found = [];
  for (const match of code.matchAll(/\b(import|export)\s+(type\s+)?(?:[\w*{}\s,$]+?\s+from\s+)?['"]([^'"]+)['"]/g)) {
    found.push({ specifier: match[3], typeOnly: match[2] !== undefined });
  }
  for (const match of code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g)) found.push({ specifier: match[1], typeOnly: false });
  return found;
}

/** Strongly connected sets of more than one file (Tarjan). */
function cycles(graph) {
  const state = new Map();
  const stack = [];
  const found = [];
  let next = 0;
  const visit = (node) => {
    const own = { index: next, low: next++, onStack: true };
    state.set(node, own);
    stack.push(node);
    for (const edge of graph.get(node) ?? []) {
      if (!graph.has(edge)) continue;
      const seen = state.get(edge);
      if (!seen) own.low = Math.min(own.low, visit(edge).low);
      else if (seen.onStack) own.low = Math.min(own.low, seen.index);
    }
    if (own.low === own.index) {
      const members = [];
      let member;
      do {
        member = stack.pop();
        state.get(member).onStack = false;
        members.push(member);
      } while (member !== node);
      if (members.length > 1) found.push(members.reverse());
    }
    return own;
  };
  for (const node of graph.keys()) if (!state.has(node)) visit(node);
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const problems = check(root);
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  const lint = spawnSync(join(root, 'node_modules', '.bin', 'oxlint'), ['--config', join(root, '.oxlintrc.json'), 'packages', 'scripts', 'test', 'examples', 'benchmarks'], { cwd: root, stdio: 'inherit' });
  // Tests run without a build, so nothing else looks at their types.
  const types = spawnSync(join(root, 'node_modules', '.bin', 'tsc'), ['-p', join(root, 'test')], { cwd: root, stdio: 'inherit' });
  if (problems.length > 0 || lint.status !== 0 || types.status !== 0) process.exit(1);
  process.stdout.write('check: package direction, import cycles, generated types, declared dependencies, lint and the types of tests are in order\n');
}
