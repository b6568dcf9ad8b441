import { describe, expect, it, vi } from 'vitest';
import { formatProblem } from '../config/config-object.js';
import { maxDocumentBytes } from './config-document.js';
import { parseConfigFile, parseConfigFileInSlices } from './config-file.js';

const read = (text: string) => parseConfigFile('mesh.yaml', text, 'files');
const problems = (text: string) => read(text).problems.map(formatProblem);

const good = 'apiVersion: v1\nkind: Service\nmetadata:\n  name: good\n';

describe('documents', () => {
  it('give their objects beside a broken one, which is reported with line and column', () => {
    const { objects, problems: found, incomplete } = read(`${good}---\nkind: [\n---\n${good.replace('good', 'other')}`);
    expect(objects.map(({ metadata }) => metadata.name)).toEqual(['good', 'other']);
    expect(incomplete).toBe(true);
    expect(found.map(({ position }) => position?.line)).toEqual([6]);
  });

  it('are told apart by markers only in the first column', () => {
    const { objects } = read(`${good}  annotations:\n    text: |\n      one\n      ---\n      two\n...\n---   # next\n${good}`);
    expect(objects.map(({ metadata }) => metadata.annotations)).toEqual([{ text: 'one\n---\ntwo\n' }, {}]);
  });

  it('may be empty, have Windows line ends, a byte order mark, and anchors', () => {
    const text = `\uFEFF---\r\n---\r\n# nothing\r\n---\r\n${good.replaceAll('\n', '\r\n')}spec: &s {a: 1}\r\nmore: *s\r\n`;
    expect(read(text).problems).toEqual([]);
    expect(read(text).objects[0]?.body).toMatchObject({ more: { a: 1 } });
  });

  it.each([
    ['a duplicate key', `${good}kind: Pod\n`, 'mesh.yaml:5:1: Map keys must be unique'],
    ['no kind', 'apiVersion: v1\n', 'mesh.yaml:1:1: kind: is required'],
    ['no name', 'apiVersion: v1\nkind: Service\nmetadata: {}\n', 'mesh.yaml:3:1 Service: metadata.name: is required'],
    ['a name that is none', good.replace('good', '../x'), /metadata.name: "..\/x" is not a name/],
    ['a namespace that is none', `${good}  namespace: a/b\n`, 'mesh.yaml:5:3 Service good: metadata.namespace: "a/b" is not a namespace'],
    ['a list at the top', '- a\n', /is not an object/],
    ['text', 'hello\n', /is not an object/],
    ['too many brackets', '['.repeat(50_000), /nested more than 64 levels/],
    ['too many dashes', '- '.repeat(50_000), /nested more than 64 levels/],
    ['too deep', `${good}spec: ${'{a: '.repeat(80)}1${'}'.repeat(80)}`, /nested more than 64 levels/],
    ['aliases that explode', `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'.split('').map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[at]}`)}]`).join('\n')}\n`, /alias/i],
  ])('with %s are refused with the reason', (_what, text, reason) => {
    expect(read(text).incomplete).toBe(true);
    expect(problems(text)[0]).toEqual(typeof reason === 'string' ? reason : expect.stringMatching(reason));
  });

  it('are refused above a size, without harm to the others', () => {
    const { objects, problems: found } = read(`${good}---\n${good}data: ${'x'.repeat(maxDocumentBytes)}\n---\n${good}`);
    expect(objects).toHaveLength(2);
    expect(found[0]?.reason).toContain('at most 1048576');
  });
});

it('positions point at the field, or at the nearest thing around it', () => {
  const { objects } = read(`---\n${good}---\napiVersion: v1\nkind: Service\nmetadata:\n  name: x\nspec:\n  http:\n    - name: a\n    - "odd.key":\n        v: 1\n`);
  const at = (path?: string) => {
    const { line, column } = objects[1]!.position(path)!;
    return `${line}:${column}`;
  };
  expect([at(), at('spec'), at('spec.http[0].name'), at('spec.http[1]["odd.key"].v'), at('spec.http[0].missing'), at('spec.http[7]')]).toEqual(['7:1', '11:1', '13:7', '15:9', '13:7', '12:3']);
});

it('objects inside a list have positions of their own', () => {
  const { objects, problems: found } = read('apiVersion: v1\nkind: ServiceList\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n  spec:\n    x: 1\n- kind: Service\n');
  expect(objects[0]?.position('spec.x')).toEqual({ file: 'mesh.yaml', line: 8, column: 5 });
  expect(found.map(formatProblem)).toEqual(['mesh.yaml:9:3: items[1].apiVersion: is required']);
});

it('raw resources are objects of their own, named by type and name', () => {
  const text = '{"resources":[\n{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"outbound|80||a"},\n{"@type":"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment","clusterName":"b"},\n{"name":"c"}]}';
  const { objects, problems: found } = read(text);
  expect(objects.map(({ metadata }) => metadata.name)).toEqual(['envoy.config.cluster.v3.Cluster/outbound|80||a', 'envoy.config.endpoint.v3.ClusterLoadAssignment/b']);
  expect(objects[1]?.position('resources[1]')).toEqual({ file: 'mesh.yaml', line: 3, column: 1 });
  expect(found.map(formatProblem)).toEqual(['mesh.yaml:4:1: resources[2]: must be an object with @type, the type URL of an xDS resource']);
});

it('lets others work between the documents of a large file', async () => {
  const text = Array.from({ length: 20 }, (_, at) => `apiVersion: v1\nkind: Service\nmetadata: { name: s-${at} }\n`).join('---\n');
  // Each document takes long.
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 1000));
  let turns = 0;
  let counting = true;
  const count = () => void (turns++, counting && setImmediate(count));
  setImmediate(count);
  const { objects, problems } = await parseConfigFileInSlices('f', text, 'test').finally(() => clock.mockRestore());
  counting = false;
  expect([objects.map(({ metadata }) => metadata.name), problems]).toEqual([Array.from({ length: 20 }, (_, at) => `s-${at}`), []]);
  expect(turns).toBeGreaterThanOrEqual(19);
});

it('finds the place of a field once, however often it is asked for', () => {
  const [object] = parseConfigFile('f', `${good}spec:\n  type: ExternalName\n`, 'test').objects;
  const place = object!.position('spec.type');
  expect(place).toEqual({ file: 'f', line: 6, column: 3 });
  expect(object!.position('spec.type')).toBe(place);
  expect(object!.position('metadata.name')).toMatchObject({ line: 4 });
});
