import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RevisionCompacted, SqliteStore, StoreInUse } from './index.js';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-store-'));
  path = join(folder, 'data', 'store.db');
});
afterEach(() => rmSync(folder, { recursive: true }));

const bytes = (text: string) => new TextEncoder().encode(text);
const heldClock = (now: number) => ({ now: () => now, setTimeout: (fn: () => void, ms: number) => (ms === 0 ? queueMicrotask(fn) : undefined, { cancel: () => undefined }) });
const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
// The child runs the built package: a plain Node does not resolve the imports of the source.
const child = (script: string) => spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
const source = new URL('../dist/index.js', import.meta.url).href;

it('keeps entries, revisions and compare-and-set over a restart', async () => {
  const first = new SqliteStore(path);
  const revision = await first.put('a', bytes('1'));
  await first.put('b', bytes('2'));
  await first.delete('b');
  await first.close();
  const second = new SqliteStore(path);
  expect(await second.get('a')).toMatchObject({ revision });
  expect((await second.list('')).revision).toBe(3);
  expect(await second.put('a', bytes('2'), { ifRevision: revision })).toBe(4);
  expect(() => second.watch('', { fromRevision: 1 })).toThrow(RevisionCompacted);
  await second.close();
});

it('writes what was asked for before it closed', async () => {
  const first = new SqliteStore(path);
  const writing = first.put('a', bytes('1'));
  await first.close();
  expect(await writing).toBe(1);
  const second = new SqliteStore(path);
  expect(await second.get('a')).toBeDefined();
  await second.close();
});

it('ends leases that ran out while it was closed, and keeps the others', async () => {
  const first = new SqliteStore(path, { clock: heldClock(0) });
  await first.put('short', bytes('1'), { lease: await first.lease(1000) });
  const long = await first.lease(1000);
  await first.put('long', bytes('1'), { lease: long });
  await first.close();
  const kept = new SqliteStore(path, { clock: heldClock(500) });
  expect((await kept.list('')).entries).toHaveLength(2);
  await kept.close();
  const waiting = new SqliteStore(path, { clock: heldClock(5000), leaseGraceMs: 30_000 });
  await turn();
  expect((await waiting.list('')).entries).toHaveLength(2);
  await waiting.close();
  const ended = new SqliteStore(path, { clock: heldClock(1000) });
  await turn();
  expect((await ended.list('')).entries).toHaveLength(0);
  await ended.close();
});

it('is readable by its owner only, the write-ahead log too', async () => {
  mkdirSync(join(folder, 'data'), { mode: 0o700 });
  writeFileSync(path, '', { mode: 0o644 });
  const store = new SqliteStore(path);
  await store.put('a', bytes('1'));
  for (const file of [path, `${path}-wal`]) expect(statSync(file).mode & 0o777).toBe(0o600);
  await store.close();
  const fresh = new SqliteStore(join(folder, 'new', 'store.db'));
  expect(statSync(join(folder, 'new')).mode & 0o777).toBe(0o700);
  await fresh.close();
});

it('refuses a file that another process has open, and one that is no database', async () => {
  const store = new SqliteStore(path);
  const script = `import { SqliteStore } from ${JSON.stringify(source)}; try { new SqliteStore(${JSON.stringify(path)}); } catch (error) { console.log(error.name); }`;
  const other = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  expect(other.stdout.trim()).toBe(StoreInUse.name);
  await store.close();
  const foreign = join(folder, 'foreign.db');
  writeFileSync(foreign, 'not a database at all, but long enough to be read as a header of one, surely'.repeat(20));
  expect(() => new SqliteStore(foreign)).toThrow(/foreign\.db: cannot be opened/);
});

it('loses nothing it had acknowledged when its process is killed', async () => {
  const writer = child(`
    import { SqliteStore } from ${JSON.stringify(source)};
    const store = new SqliteStore(${JSON.stringify(path)});
    for (let n = 0; ; n++) { await Promise.all([store.put('a/' + n, new Uint8Array(2000)), store.put('b/' + n, new Uint8Array(1))]); process.stdout.write(n + '\\n'); }
  `);
  let acknowledged = -1;
  for await (const line of createInterface({ input: writer.stdout })) {
    acknowledged = Math.max(acknowledged, Number(line));
    if (acknowledged >= 200) writer.kill('SIGKILL');
  }
  if (writer.exitCode === null && writer.signalCode === null) await once(writer, 'exit');
  expect(writer.signalCode).toBe('SIGKILL');
  const store = new SqliteStore(path);
  const { entries, revision } = await store.list('');
  const keys = new Set(entries.map(({ key }) => key));
  for (let n = 0; n <= acknowledged; n++) expect(keys.has(`a/${n}`) && keys.has(`b/${n}`), `entry ${n}`).toBe(true);
  // The two of one batch are there together or not at all, and the revision counts exactly what is there.
  expect(entries.length % 2).toBe(0);
  expect(revision).toBe(entries.length);
  await store.close();
});
