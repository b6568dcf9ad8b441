import { describe, expect, it } from 'vitest';
import { builtinKinds } from '../config/builtin.js';
import { ConfigPipeline } from '../config/config-pipeline.js';
import { MeshModel } from '../model/mesh-model.js';
import { TextSource } from './text-source.js';

const entry = (host: string) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${host.replaceAll('.', '-')} }
spec: { hosts: [${host}], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: STATIC, endpoints: [{ address: 127.0.0.1 }] }
`;

async function started(text: string) {
  const model = new MeshModel();
  const pipeline = new ConfigPipeline({ kinds: builtinKinds, model });
  const source = new TextSource(text);
  await source.start(pipeline);
  const has = (host: string) => model.reader(() => undefined).service(host) !== undefined;
  return { source, pipeline, has };
}

describe('configuration in a text', () => {
  it('is in the model when the source has started, and follows what is set', async () => {
    const { source, has } = await started(entry('a.test'));
    expect(has('a.test')).toBe(true);
    source.set(`${entry('b.test')}---\n${entry('c.test')}`);
    expect([has('a.test'), has('b.test'), has('c.test')]).toEqual([false, true, true]);
  });

  it('keeps the last good version of what cannot be read, and says where it is wrong', async () => {
    const { source, pipeline, has } = await started(entry('a.test'));
    source.set(entry('a.test').replace('number: 80', 'number: many'));
    expect(has('a.test')).toBe(true);
    expect(pipeline.problems()).toEqual([expect.objectContaining({ severity: 'error', field: 'spec.ports[0].number', position: expect.objectContaining({ file: 'text', line: 4 }) })]);
    source.set('{ this is: [no YAML');
    expect(has('a.test')).toBe(true);
  });

  it('says nothing after it is closed', async () => {
    const { source, has } = await started(entry('a.test'));
    source.close();
    source.set(entry('b.test'));
    expect([has('a.test'), has('b.test')]).toEqual([true, false]);
  });
});
