// Writes the code of every package: its entry points and as few files as they share. tsc checks it and writes the
// declarations. A process that imports @weft/client would otherwise resolve and read several hundred small files.
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const packages = join(fileURLToPath(new URL('..', import.meta.url)), 'packages');

/** Put into the package's own code: many small files, of which all packages must share one copy. */
const inlined = { 'xds-api': ['@bufbuild/protobuf'] };

async function bundle(name) {
  const folder = join(packages, name);
  const dist = join(folder, 'dist');
  const stamp = join(dist, '.bundled');
  const wanted = newest(join(folder, 'src'), join(folder, 'package.json'));
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return false;
  const { exports, dependencies = {}, peerDependencies = {}, bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const external = [...Object.keys(dependencies), ...Object.keys(peerDependencies)].filter((dependency) => !inlined[name]?.includes(dependency));
  const entries = Object.values(exports)
    .map((target) => target.default ?? target)
    .filter((target) => target.startsWith('./dist/'))
    .map((target) => target.slice('./dist/'.length, -'.js'.length));
  if (bin) entries.push('main');
  for (const file of existsSync(dist) ? readdirSync(dist, { recursive: true }) : []) if (/\.js(\.map)?$/.test(file)) rmSync(join(dist, file));
  const build = await rolldown({
    input: Object.fromEntries(entries.map((entry) => [entry, join(folder, 'src', `${entry}.ts`)])),
    platform: 'node',
    external: (id) => id.startsWith('node:') || external.some((dependency) => id === dependency || id.startsWith(`${dependency}/`)),
    resolve: { extensionAlias: { '.js': ['.ts', '.js'] } },
  });
  await build.write({ dir: dist, format: 'esm', sourcemap: true, entryFileNames: '[name].js', chunkFileNames: 'chunk-[name]-[hash].js' });
  await build.close();
  writeFileSync(stamp, wanted);
  return true;
}

/** Changes whenever a source does, is added or goes. */
function newest(folder, ...more) {
  const files = [...readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)), ...more, fileURLToPath(import.meta.url)];
  return `${files.length} ${Math.max(...files.map((file) => statSync(file).mtimeMs))}`;
}

await Promise.all(readdirSync(packages).map(bundle));
