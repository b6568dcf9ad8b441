import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { formatProblem, objectKey, type ConfigObject, type ConfigProblem } from '../config/config-object.js';
import type { ConfigSink, PartOptions } from './config-source.js';
import { FileSource } from './file-source.js';

let folder: string;
const open: FileSource[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-files-'));
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((source) => source.close()));
  await rm(folder, { recursive: true, force: true });
});

/** What the pipeline would hold: parts by name, with objects kept where a part is incomplete. */
class Held implements ConfigSink {
  readonly parts = new Map<string, Map<string, ConfigObject>>();
  problems: ConfigProblem[] = [];
  deliveries = 0;

  replace(part: string, objects: readonly ConfigObject[], problems: readonly ConfigProblem[], { incomplete = false }: PartOptions = {}): void {
    this.deliveries++;
    const kept = incomplete ? (this.parts.get(part) ?? []) : [];
    this.parts.set(part, new Map([...kept, ...objects.map((object) => [objectKey(object), object] as const)]));
    this.problems = [...problems];
  }

  unreadable(part: string, problems: readonly ConfigProblem[]): void {
    this.replace(part, [], problems, { incomplete: true });
  }

  remove(part: string): void {
    this.parts.delete(part);
  }

  /** Label `v` of each object by name. */
  get state(): Record<string, string> {
    const objects = [...this.parts.values()].flatMap((part) => [...part.values()]);
    return Object.fromEntries(objects.map(({ metadata }) => [metadata.name, metadata.labels['v'] ?? '']).toSorted(([a], [b]) => (a! < b! ? -1 : 1)));
  }
}

async function follow(...paths: string[]): Promise<Held> {
  const source = new FileSource(paths, { debounceMs: 20, confirmMs: 60, pollMs: 200 });
  open.push(source);
  const held = new Held();
  await source.start(held);
  return held;
}

const doc = (name: string, v: string | number) => `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, labels: { v: "${v}" } }\n`;

it('reads folders recursively, several documents a file, lists and JSON, and leaves other files alone', async () => {
  await mkdir(join(folder, 'inner'));
  await writeFile(join(folder, 'a.yaml'), `# comment\n---\n${doc('a', 1)}---\n${doc('b', 1)}---\n`);
  await writeFile(join(folder, 'inner', 'list.yml'), `apiVersion: v1\nkind: List\nitems:\n- ${doc('c', 1).replaceAll('\n', '\n  ')}\n`);
  await writeFile(join(folder, 'd.json'), JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'd', labels: { v: '1' } } }));
  await writeFile(join(folder, '.hidden.yaml'), doc('hidden', 1));
  await writeFile(join(folder, 'readme.md'), doc('prose', 1));
  const held = await follow(folder);
  expect(held.state).toEqual({ a: '1', b: '1', c: '1', d: '1' });
  expect(held.problems).toEqual([]);
});

it('rejects a path that does not exist', async () => {
  await expect(follow(join(folder, 'none'))).rejects.toThrow(`${join(folder, 'none')}: no such file or folder`);
});

it('follows an editor that renames a new file over the old one', async () => {
  const path = join(folder, 'a.yaml');
  await writeFile(path, doc('a', 1));
  const held = await follow(path);
  for (const v of [2, 3]) {
    await writeFile(join(folder, '.a.yaml.swp'), doc('a', v));
    await rename(join(folder, '.a.yaml.swp'), path);
    await vi.waitFor(() => expect(held.state).toEqual({ a: String(v) }));
  }
});

it('follows the swapped link of a mounted ConfigMap', async () => {
  for (const v of [1, 2]) {
    await mkdir(join(folder, `..v${v}`));
    await writeFile(join(folder, `..v${v}`, 'a.yaml'), doc('a', v));
  }
  await symlink('..v1', join(folder, '..data'));
  await symlink('..data/a.yaml', join(folder, 'a.yaml'));
  const held = await follow(folder);
  expect(held.state).toEqual({ a: '1' });
  await symlink('..v2', join(folder, '..data_tmp'));
  await rename(join(folder, '..data_tmp'), join(folder, '..data'));
  await rm(join(folder, '..v1'), { recursive: true });
  await vi.waitFor(() => expect(held.state).toEqual({ a: '2' }));
});

it('keeps objects of a half-written file, and drops them once they stay away', async () => {
  const path = join(folder, 'a.yaml');
  await writeFile(path, `${doc('a', 1)}---\n${doc('b', 1)}`);
  const held = await follow(folder);
  const states: string[][] = [];
  const replace = held.replace.bind(held);
  held.replace = (...given) => {
    replace(...given);
    states.push(Object.keys(held.state));
  };
  await writeFile(path, doc('a', 2));
  await vi.waitFor(() => expect(held.state).toEqual({ a: '2' }));
  // First without taking b away, then, confirmed, without b.
  expect(states[0]).toEqual(['a', 'b']);
  await writeFile(path, '');
  await vi.waitFor(() => expect(held.state).toEqual({}));
});

it('takes a file away only when it stays away', async () => {
  await writeFile(join(folder, 'a.yaml'), doc('a', 1));
  const held = await follow(folder);
  await rm(join(folder, 'a.yaml'));
  await vi.waitFor(() => expect(held.parts.size).toBe(0));
  await writeFile(join(folder, 'a.yaml'), doc('a', 2));
  await vi.waitFor(() => expect(held.state).toEqual({ a: '2' }));
});

it('ends at the last of many quick changes', async () => {
  const path = join(folder, 'a.yaml');
  await writeFile(path, doc('a', 0));
  const held = await follow(path);
  for (let v = 1; v <= 30; v++) {
    await writeFile(path, doc('a', v));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await vi.waitFor(() => expect(held.state).toEqual({ a: '30' }));
  expect(held.deliveries).toBeLessThan(30);
});

it('keeps what it has when a whole path goes away, and says so', async () => {
  const mount = join(folder, 'mount');
  await mkdir(mount);
  await writeFile(join(mount, 'a.yaml'), doc('a', 1));
  const held = await follow(mount);
  await rename(mount, join(folder, 'away'));
  await vi.waitFor(() => expect(held.problems.map(formatProblem)[0]).toContain('a.yaml:1:1'));
  expect(held.state).toEqual({ a: '1' });
  await rename(join(folder, 'away'), mount);
  await vi.waitFor(() => expect(held.problems).toEqual([]));
});

it('notices changes without any event by looking again', async () => {
  const path = join(folder, 'a.yaml');
  await writeFile(path, doc('a', 1));
  const source = new FileSource([path], { debounceMs: 20, pollMs: 30 });
  open.push(source);
  const held = new Held();
  await source.start(held);
  // A link into another file system: nothing in the watched folder changes with it.
  const far = await mkdtemp(join(tmpdir(), 'weft-far-'));
  await writeFile(join(far, 'x.yaml'), doc('b', 1));
  await symlink(join(far, 'middle'), join(folder, 'inner'));
  await symlink(far, join(far, 'middle'));
  await rm(path);
  await symlink(join(folder, 'inner', 'x.yaml'), path);
  await vi.waitFor(() => expect(held.state).toEqual({ b: '1' }));
  await rm(far, { recursive: true });
});
