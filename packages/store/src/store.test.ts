import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { LeaseExpired, MemoryStore, RevisionCompacted, RevisionConflict, SqliteStore, StoreClosed, getJson, listJson, putJson, type Change, type Store, type StoreClock } from './index.js';

/** Turned by hand; timers fire in order of time. */
class TestClock implements StoreClock {
  #now = 1_000_000;
  #timers: { due: number; fn: () => void }[] = [];
  now = () => this.#now;
  setTimeout(fn: () => void, ms: number) {
    const timer = { due: this.#now + ms, fn };
    this.#timers.push(timer);
    return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== timer)) };
  }
  advance(ms: number) {
    this.#now += ms;
    const due = this.#timers.filter((timer) => timer.due <= this.#now).sort((a, b) => a.due - b.due);
    this.#timers = this.#timers.filter((timer) => timer.due > this.#now);
    for (const timer of due) timer.fn();
  }
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined) => value && new TextDecoder().decode(value);

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const kinds: Record<string, (clock: StoreClock, changeLogLimit: number) => Store> = {
  MemoryStore: (clock, changeLogLimit) => new MemoryStore({ clock, changeLogLimit }),
  SqliteStore: (clock, changeLogLimit) => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-store-'));
    cleanups.push(() => rmSync(folder, { recursive: true }));
    return new SqliteStore(join(folder, 'store.db'), { clock, changeLogLimit });
  },
};

describe.each(Object.keys(kinds))('%s', (kind) => {
  const setup = (changeLogLimit = 1000) => {
    const clock = new TestClock();
    const store = kinds[kind]!(clock, changeLogLimit);
    cleanups.unshift(() => store.close());
    return { clock, store };
  };
  const take = async (changes: AsyncIterable<Change>, count: number) => {
    const seen: string[] = [];
    for await (const change of changes) {
      seen.push(`${change.type} ${change.key} ${text(change.value) ?? '-'} ${change.revision}`);
      if (seen.length === count) break;
    }
    return seen;
  };

  it('returns what was put, with the revision of that put', async () => {
    const { store } = setup();
    const first = await store.put('a/b', bytes('1'));
    const second = await store.put('a/b', bytes('2'));
    expect(second).toBeGreaterThan(first);
    const entry = await store.get('a/b');
    expect([text(entry?.value), entry?.revision]).toEqual(['2', second]);
    expect(await store.get('a')).toBeUndefined();
  });

  it('is not changed through the arrays that went in or came out', async () => {
    const { store } = setup();
    const value = bytes('one');
    const written = store.put('k', value);
    value[0] = 0;
    await written;
    (await store.get('k'))!.value[0] = 0;
    expect(text((await store.get('k'))?.value)).toBe('one');
  });

  it('writes and deletes only at the expected revision; 0 means absent', async () => {
    const { store } = setup();
    const revision = await store.put('k', bytes('1'), { ifRevision: 0 });
    await expect(store.put('k', bytes('2'), { ifRevision: 0 })).rejects.toThrow(RevisionConflict);
    await expect(store.put('k', bytes('2'), { ifRevision: revision + 1 })).rejects.toMatchObject({ actual: revision });
    await expect(store.delete('k', { ifRevision: revision + 1 })).rejects.toThrow(RevisionConflict);
    expect(text((await store.get('k'))?.value)).toBe('1');
    expect(await store.delete('k', { ifRevision: revision })).toBe(true);
    expect(await store.delete('k')).toBe(false);
    await expect(store.put('k', bytes('3'), { ifRevision: revision })).rejects.toMatchObject({ actual: 0 });
  });

  it('lets exactly one of many parallel compare-and-sets win', async () => {
    const { store } = setup();
    const revision = await store.put('k', bytes('start'));
    const outcomes = await Promise.allSettled(Array.from({ length: 50 }, (_, index) => store.put('k', bytes(String(index)), { ifRevision: revision })));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const winner = outcomes.findIndex(({ status }) => status === 'fulfilled');
    expect(text((await store.get('k'))?.value)).toBe(String(winner));
  });

  it('lists a prefix in order of keys, and nothing beside it', async () => {
    const { store } = setup();
    for (const key of ['a/2', 'a/1', 'b', 'a/1/x', 'ab', 'a/é', 'a/😀']) await store.put(key, bytes(key));
    const { entries, revision } = await store.list('a/');
    expect(entries.map(({ key }) => key)).toEqual(['a/1', 'a/1/x', 'a/2', 'a/é', 'a/😀']);
    expect(revision).toBe(7);
    expect((await store.list('')).entries).toHaveLength(7);
    expect((await store.list('zzz')).entries).toEqual([]);
  });

  it.each(['', '/a', 'a/', 'a//b', 'a\u0000b', 'a\nb', 'x'.repeat(1025)])('refuses the key %j', async (key) => {
    const { store } = setup();
    await expect(store.put(key, bytes('1'))).rejects.toThrow(TypeError);
  });

  it('tells watchers every change below their prefix, in order, from the moment of the call', async () => {
    const { store } = setup();
    await store.put('a/before', bytes('0'));
    const changes = store.watch('a/');
    await store.put('a/1', bytes('x'));
    await store.put('b/1', bytes('y'));
    await store.delete('a/1');
    expect(await take(changes, 2)).toEqual(['put a/1 x 2', 'delete a/1 - 4']);
  });

  it('continues a watch after the revision of a list, deletes included', async () => {
    const { store } = setup();
    await store.put('a/1', bytes('x'));
    const { revision } = await store.list('a/');
    await store.delete('a/1');
    await store.put('a/2', bytes('y'));
    expect(await take(store.watch('a/', { fromRevision: revision }), 2)).toEqual(['delete a/1 - 2', 'put a/2 y 3']);
  });

  it('says so when the changes since a revision are forgotten', async () => {
    const { store } = setup(5);
    for (let index = 0; index < 30; index++) await store.put('k', bytes(String(index)));
    expect(() => store.watch('', { fromRevision: 1 })).toThrow(RevisionCompacted);
    expect(await take(store.watch('', { fromRevision: 29 }), 1)).toEqual(['put k 29 30']);
  });

  it('ends a watch on abort and on close', async () => {
    const { store } = setup();
    const abort = new AbortController();
    const aborted = take(store.watch('', { signal: abort.signal }), 99);
    const closed = take(store.watch(''), 99);
    await store.put('k', bytes('1'));
    abort.abort();
    expect(await aborted).toHaveLength(1);
    await store.close();
    expect(await closed).toHaveLength(1);
    await expect(store.get('k')).rejects.toThrow(StoreClosed);
    await expect(store.put('k', bytes('1'))).rejects.toThrow(StoreClosed);
  });

  it('deletes the keys of a lease when it runs out, and watchers see it', async () => {
    const { store, clock } = setup();
    const lease = await store.lease(1000);
    await store.put('own', bytes('1'), { lease });
    await store.put('detached', bytes('1'), { lease });
    await store.put('detached', bytes('2'));
    await store.put('other', bytes('1'));
    const changes = store.watch('');
    clock.advance(999);
    expect(await store.get('own')).toBeDefined();
    clock.advance(1);
    expect(await take(changes, 1)).toEqual(['delete own - 5']);
    expect((await store.list('')).entries.map(({ key }) => key)).toEqual(['detached', 'other']);
    await expect(lease.keepAlive()).rejects.toThrow(LeaseExpired);
    await expect(store.put('own', bytes('1'), { lease })).rejects.toThrow(LeaseExpired);
  });

  it('keeps a lease as long as it is kept alive, and ends it at once on revoke', async () => {
    const { store, clock } = setup();
    const lease = await store.lease(1000);
    await store.put('own', bytes('1'), { lease });
    for (let index = 0; index < 5; index++) {
      clock.advance(900);
      await lease.keepAlive();
    }
    expect(await store.get('own')).toBeDefined();
    await lease.revoke();
    expect(await store.get('own')).toBeUndefined();
  });

  it('stores JSON and names the key when a value is none', async () => {
    const { store } = setup();
    await putJson(store, 'j/1', { a: [1, 'é'] });
    expect((await getJson<{ a: unknown }>(store, 'j/1'))?.value).toEqual({ a: [1, 'é'] });
    expect(await getJson(store, 'j/none')).toBeUndefined();
    expect((await listJson(store, 'j/')).entries).toMatchObject([{ key: 'j/1', value: { a: [1, 'é'] } }]);
    await store.put('j/2', bytes('{'));
    await expect(getJson(store, 'j/2')).rejects.toThrow(/^j\/2: /);
  });
});
