import { MemoryStore, type Store } from '@weft/store';
import { describe, expect, it } from 'vitest';
import type { ChangeSet } from '../model/change-set.js';
import { MeshModel } from '../model/mesh-model.js';
import { parseConfigFile } from '../source/config-file.js';
import type { PartOptions } from '../source/config-source.js';
import { builtinKinds } from './builtin.js';
import { ConfigPipeline } from './config-pipeline.js';
import { formatProblem } from './config-object.js';

function setUp({ store, sources }: { store?: Store; sources?: string[] } = {}) {
  const model = new MeshModel();
  const logged: string[] = [];
  const log = (_fields: object, message: string) => void logged.push(message);
  const logger = { debug: log, info: log, warn: log, error: log };
  const pipeline = new ConfigPipeline({ kinds: builtinKinds, model, logger, ...(store && { store }), ...(sources && { sources }) });
  return {
    model,
    pipeline,
    logged,
    /** Delivers a file as a source would. */
    put(part: string, text: string, { source = 'files', ...options }: PartOptions & { source?: string } = {}) {
      const { objects, problems, incomplete } = parseConfigFile(part, text, source);
      pipeline.replace(part, objects, problems, { incomplete, ...options });
    },
    port: (name = 'a') => model.reader(() => {}).resolve(name, 'default')?.ports[0]?.number,
    problems: () => pipeline.problems().map(formatProblem),
  };
}

const service = (name: string, port: number | string) => `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {ports: [{port: ${port}}]}\n`;

describe('a bad object', () => {
  it('keeps its own last good version and never stops the others', () => {
    const { put, port, problems, pipeline } = setUp();
    put('f', `${service('a', 1)}---\n${service('b', 1)}`);
    put('f', `${service('a', 'x')}---\n${service('b', 2)}`);
    expect([port('a'), port('b')]).toEqual([1, 2]);
    expect(problems()).toEqual(['f:4:17 Service default/a: spec.ports[0].port: must be a number, not "x" (a string)']);
    expect(pipeline.rejected()).toEqual([]);
    put('f', `${service('a', 3)}---\n${service('b', 2)}`);
    expect([port('a'), problems()]).toEqual([3, []]);
  });

  it('without a last good version is not in force, and is named as such', () => {
    const { put, port, pipeline } = setUp();
    put('f', `${service('a', 'x')}---\n${service('b', 2)}`);
    expect([port('a'), port('b')]).toEqual([undefined, 2]);
    expect(pipeline.rejected().map(formatProblem)).toEqual([expect.stringContaining('f:4:17 Service default/a')]);
  });

  it('that goes away takes its last good version with it', () => {
    const { put, port } = setUp();
    put('f', service('a', 1));
    put('f', service('a', 'x'));
    put('f', '');
    expect(port('a')).toBeUndefined();
  });

  it('keeps its last good version through a restart, and so do objects of a file that cannot be read', async () => {
    const store = new MemoryStore();
    const before = setUp({ store });
    before.put('f', service('a', 1));
    before.put('g', service('b', 1));
    before.put('h', service('c', 1));
    await before.pipeline.flush();

    const after = setUp({ store });
    await after.pipeline.loadLastGood();
    after.put('f', service('a', 'x'));
    after.put('g', '[');
    expect([after.port('a'), after.port('b')]).toEqual([1, 1]);
    expect(after.pipeline.rejected()).toEqual([]);
    expect(after.problems()).toHaveLength(2);
    // What no source delivers any more is forgotten, not resurrected.
    after.pipeline.settled();
    await after.pipeline.flush();
    expect(after.port('c')).toBeUndefined();
    expect((await store.list('config/last-good/')).entries.map(({ key }) => key)).toEqual(['config/last-good/-/Service/default/a', 'config/last-good/-/Service/default/b']);
  });

  it('is forgotten in the store with its object', async () => {
    const store = new MemoryStore();
    const { put, pipeline } = setUp({ store });
    put('f', service('a', 1));
    pipeline.remove('f');
    await pipeline.flush();
    expect((await store.list('config/last-good/')).entries).toEqual([]);
  });

  it('that makes its kind throw is a problem, not a crash', () => {
    const model = new MeshModel();
    const pipeline = new ConfigPipeline({
      model,
      kinds: [{ group: '', kind: 'Service', versions: ['v1'], namespaced: true, normalize: () => { throw new Error('bug'); } }],
    });
    pipeline.replace('f', parseConfigFile('f', service('a', 1), 's').objects, []);
    expect(pipeline.problems().map(formatProblem)).toEqual(['f:1:1 Service default/a: cannot be read: bug']);
  });
});

describe('a part that is incomplete', () => {
  it('keeps what is missing from it, and drops that once it is complete', () => {
    const { put, port } = setUp();
    put('f', `${service('a', 1)}---\n${service('b', 1)}`);
    put('f', `${service('a', 2)}---\nkind: [`);
    expect([port('a'), port('b')]).toEqual([2, 1]);
    put('f', service('a', 2));
    expect(port('b')).toBeUndefined();
  });

  it('or unreadable keeps everything', () => {
    const { put, port, pipeline, problems } = setUp();
    put('f', service('a', 1));
    pipeline.unreadable('f', [{ severity: 'error', reason: 'no such file', position: { file: 'f', line: 1, column: 1 } }]);
    expect([port('a'), problems()]).toEqual([1, ['f:1:1: no such file']]);
  });
});

describe('the same object twice', () => {
  it('in two sources: the first source in order wins, whichever delivers first', () => {
    const { put, port, problems, pipeline } = setUp({ sources: ['one', 'two'] });
    put('t', service('a', 2), { source: 'two' });
    put('o', service('a', 1), { source: 'one' });
    expect(port()).toBe(1);
    expect(problems()).toEqual(['warning: t:1:1 Service default/a: is also in o:1, which is in force']);
    pipeline.remove('o');
    expect([port(), problems()]).toEqual([2, []]);
  });

  it('in two files of a source: the path that was given first, then the file name', () => {
    const { put, port } = setUp();
    put('a', service('a', 1), { order: 1 });
    put('z', service('a', 2), { order: 0 });
    expect(port()).toBe(2);
    put('y', service('a', 3), { order: 0 });
    expect(port()).toBe(3);
  });

  it('in one file: the first', () => {
    const { put, port, problems } = setUp();
    put('f', `${service('a', 1)}---\n${service('a', 2)}`);
    expect([port(), problems()]).toEqual([1, ['warning: f:6:1 Service default/a: is also in f:1, which is in force']]);
  });
});

it('objects without namespace are in default, their age is that of their metadata, and names mean nothing to Object', () => {
  const { put, model, problems } = setUp();
  put('f', `${service('a', 1)}---\n${service('b', 1).replace('{name: b}', '{name: b, namespace: shop, creationTimestamp: "1970-01-01T00:00:02Z", labels: {__proto__: x}}')}`);
  expect([...model.objects()].map(({ namespace, createdAt }) => [namespace, createdAt])).toEqual([['default', 0], ['shop', 2000]]);
  expect(problems()).toEqual([]);
});

it('nothing of an unknown kind is stored: it may be a Secret', async () => {
  const store = new MemoryStore();
  const { put, pipeline } = setUp({ store });
  put('f', 'apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {key: c2VjcmV0}\n');
  await pipeline.flush();
  expect((await store.list('config/')).entries).toEqual([]);
});

it('unknown kinds are one warning each, not errors', () => {
  const { put, problems, logged } = setUp();
  const deployment = (name: string) => `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ${name}}\n---\n`;
  put('f', deployment('a') + deployment('b') + service('a', 1));
  expect(problems()).toEqual(['warning: f:2:1 Deployment default/a: the kind Deployment.apps is not known: objects of it are not used']);
  expect(logged).toHaveLength(1);
});

it('unknown versions and metadata of the wrong type are errors', () => {
  const { put, problems } = setUp();
  put('f', 'apiVersion: v9\nkind: Service\nmetadata: {name: a, labels: {v: 1}, creationTimestamp: soon}\nspec: {}\n');
  expect(problems()).toEqual([
    'f:1:1 Service default/a: apiVersion: v9 is not a version of Service: use v1',
    'f:3:30 Service default/a: metadata.labels.v: must be a string, not 1 (a number)',
    'f:3:37 Service default/a: metadata.creationTimestamp: "soon" is not a time',
  ]);
});

it('one delivery is one change of the model, and the same again is none', () => {
  const { model, put } = setUp();
  const changes: ChangeSet[] = [];
  model.onChange((change) => changes.push(change));
  put('f', `${service('a', 1)}---\n${service('b', 1)}`);
  put('f', `# moved\n${service('a', 1)}---\n${service('b', 1)}`);
  expect(changes).toHaveLength(1);
});
