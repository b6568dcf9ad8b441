import { FakeClock } from '@weft/spiffe/testing';
import { expect, test } from 'vitest';
import { MeshError } from '../errors.js';
import type { OutboundListenerSnapshot } from '../snapshot/outbound-listener.js';
import { Engine, type ListenerState } from './engine.js';
import { MeshNames } from './mesh-names.js';

const snapshot = { name: 'x' } as OutboundListenerSnapshot;

function engine(states: Record<string, ListenerState>, clock = new FakeClock()) {
  const asked: string[] = [];
  const listeners = { get: (name: string) => (asked.push(name), states[name] ?? { snapshot: undefined, state: 'absent' as const, wait: async () => undefined }) };
  return { asked, engine: new Engine({ listeners, telemetry: { start: () => undefined, end() {} }, clock, names: new MeshNames(), configTimeoutMs: 1000 }) };
}

test('names are asked for in lower case with their port', () => {
  const { asked, engine: made } = engine({});
  for (const authority of ['Payments', 'payments:8080', 'payments.default.svc.', '[::1]:90']) made.lookup('http', authority);
  expect(asked).toEqual(['payments:80', 'payments:8080', 'payments.default.svc:80', '[::1]:90']);
  expect(made.lookup('http', 'pay ments')).toMatchObject({ kind: 'absent', error: { code: 'WEFT_UNKNOWN_HOST' } });
});

test('the last good snapshot serves while an update is wrong, and not once the host is gone', () => {
  const wait = async () => undefined;
  const { engine: made } = engine({
    'bad:80': { snapshot, state: 'error', error: new MeshError('WEFT_RESOURCE_INVALID', 'x'), wait },
    'gone:80': { snapshot, state: 'absent', wait },
    'never:80': { snapshot: undefined, state: 'error', error: new MeshError('WEFT_RESOURCE_INVALID', 'x'), wait },
  });
  expect(made.lookup('http', 'bad')).toEqual({ kind: 'mesh', snapshot });
  expect(made.lookup('http', 'gone')).toMatchObject({ kind: 'absent', error: { code: 'WEFT_UNKNOWN_HOST' } });
  expect(made.lookup('http', 'never')).toMatchObject({ kind: 'absent', error: { code: 'WEFT_RESOURCE_INVALID' } });
});

test('waiting for a name ends with its answer, its timeout or its caller', async () => {
  const clock = new FakeClock();
  const wait = (signal?: AbortSignal) => new Promise<void>((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)));
  const { engine: made } = engine({ 'slow:80': { snapshot: undefined, state: 'pending', wait } }, clock);
  const lookup = made.lookup('http', 'slow');
  if (lookup.kind !== 'pending') throw new Error('expected to wait');
  const answer = lookup.wait();
  clock.advance(1000);
  expect(await answer).toMatchObject({ kind: 'absent', error: { code: 'WEFT_NO_CONFIG' } });
  const controller = new AbortController();
  const cancelled = lookup.wait(controller.signal);
  controller.abort(new Error('enough'));
  await expect(cancelled).rejects.toThrow('enough');
  expect(clock.pending).toBe(0);
});

test('single labels and names of the cluster domain never leave the mesh', () => {
  const { engine: made } = engine({});
  for (const name of ['payments', 'PAYMENTS:80', 'payments.default.svc', 'payments.default.svc.cluster.local:8080']) expect([name, made.mayPassThrough(name)]).toEqual([name, false]);
  for (const name of ['example.com', '127.0.0.1:80', '[::1]:80', 'localhost:3000', 'payments.default']) expect([name, made.mayPassThrough(name)]).toEqual([name, true]);
});

test('under a foreign control plane names are completed', () => {
  const names = new MeshNames({ expand: true, namespace: 'shop', template: 'xds/%s' });
  expect(['payments', 'payments.other', 'payments.other.svc', 'payments.other.svc.cluster.local', '10.0.0.1', 'localhost'].map((name) => names.listener(name, 80))).toEqual([
    'xds/payments.shop.svc.cluster.local:80', 'xds/payments.other.svc.cluster.local:80', 'xds/payments.other.svc.cluster.local:80', 'xds/payments.other.svc.cluster.local:80', 'xds/10.0.0.1:80', 'xds/localhost:80',
  ]);
});
