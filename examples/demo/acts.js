// The acts. Each changes one thing under constant load, and says what it promised and what was seen.
import { request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { share } from './lib/load.js';
import { stop } from './lib/processes.js';
import { instances } from './lib/stage.js';

const percent = (fraction) => `${Math.round(fraction * 100)} %`;
const failures = ({ total, failed, firstError }) => `${failed} of ${total} requests failed${firstError ? ` (first: ${firstError})` : ''}`;

/** Runs a while under load and returns what came back in that time. */
async function observe(load, ms) {
  const since = performance.now();
  await wait(ms);
  await load.settle();
  return load.window(since);
}

/** Polls until the condition holds; returns the milliseconds it took, or undefined. */
async function until(condition, patience) {
  const since = performance.now();
  while (performance.now() - since < patience) {
    if (await condition()) return performance.now() - since;
    await wait(50);
  }
  return undefined;
}

export const acts = [
  {
    title: 'a canary by header, and 90/10 for everybody else',
    look: 'the split by version, and mesh/payments.yaml',
    promise: 'x-canary: v2 reaches only v2; v2 gets about 10 % of the rest',
    async run({ load }) {
      const canaries = await Promise.all(Array.from({ length: 40 }, () => load.send({ 'x-canary': 'v2' })));
      const strays = canaries.filter(({ ok, version }) => !ok || version !== 'v2').length;
      const seen = await observe(load, 5000);
      const v2 = share(seen.versions, 'v2');
      return { ok: strays === 0 && v2 > 0.04 && v2 < 0.18 && seen.failed === 0, seen: `${40 - strays} of 40 canaries on v2; v2 got ${percent(v2)}; ${failures(seen)}` };
    },
  },
  {
    title: 'the weights edited to 50/50 in the YAML',
    look: 'the split moving as soon as the file is saved',
    promise: 'followed within a second, no failed request',
    async run({ load, stage }) {
      const since = performance.now();
      stage.edit('payments.yaml', (text) => text.replace('weight: 90', 'weight: 50').replace('weight: 10', 'weight: 50'));
      await wait(1000);
      const from = performance.now();
      await wait(4000);
      await load.settle();
      const after = load.window(from);
      const v2 = share(after.versions, 'v2');
      const all = load.window(since);
      return { ok: v2 > 0.4 && v2 < 0.6 && all.failed === 0, seen: `one second after the edit v2 gets ${percent(v2)}; ${failures(all)}` };
    },
  },
  {
    title: 'an instance of payments killed with -9',
    look: 'success staying at 100 %',
    promise: 'no failed request',
    async run({ load, stage }) {
      const victim = 'payments-v1-a';
      const since = performance.now();
      await stop(stage.processes.get(victim), 'SIGKILL');
      await wait(5000);
      await load.settle();
      const seen = load.window(since);
      const still = load.window(since + 1000).instances[victim] ?? 0;
      await stage.startService(instances.find(({ name }) => name === victim));
      const back = await until(() => (load.window(performance.now() - 2000).instances[victim] ?? 0) > 0, 15_000);
      return { ok: seen.failed === 0 && still === 0 && back !== undefined, seen: `${failures(seen)}; restarted, it ${back === undefined ? 'got no traffic again' : 'takes traffic again'}` };
    },
  },
  {
    title: 'a fault injected on orders → payments',
    look: 'success and latency: frontend retries orders',
    promise: "20 % of the calls fail, frontend's callers see none of it",
    async run({ load, stage }) {
      const fault = 'fault:\n        abort:\n          httpStatus: 503\n          percentage: { value: 20 }\n      ';
      const undo = stage.edit('payments.yaml', (text) => text.replace('    - name: split\n      route:', `    - name: split\n      ${fault}route:`));
      await wait(1000);
      const before = await injected(stage);
      const seen = await observe(load, 5000);
      const count = (await injected(stage)) - before;
      undo();
      await wait(1000);
      return { ok: seen.failed === 0 && count > 0, seen: `${count} calls aborted; ${failures(seen)}` };
    },
  },
  {
    title: 'callers without permission',
    look: 'mesh/security.yaml: nothing is allowed that is not written there',
    promise: 'a strange identity gets 403 / PERMISSION_DENIED, a process without one does not get in at all',
    async run({ load, stage }) {
      const since = performance.now();
      const { http, grpc } = await stage.intruder();
      const plain = await plainText(stage);
      const seen = load.window(since);
      return { ok: http === 403 && grpc === 7 && plain === 'refused' && seen.failed === 0, seen: `HTTP ${http}, gRPC ${grpc}; plain text ${plain}; ${failures(seen)}` };
    },
  },
  {
    title: 'every certificate rotated under load, then a new root',
    look: 'success staying at 100 % while all processes change their certificates',
    promise: 'every process has a new certificate from the new root, no failed request',
    async run({ load, stage, svidTtlMs }) {
      const since = performance.now();
      const before = await certificates(stage);
      const renewed = await until(async () => changed(before, await certificates(stage)), svidTtlMs * 1.5);
      await stage.weft('ca', 'rotate', '--control-plane', stage.http);
      const { subject } = JSON.parse(await stage.weft('ca', 'show', '--control-plane', stage.http, '--json')).active;
      const moved = await until(async () => [...(await certificates(stage)).values()].every(({ issuer }) => issuer === subject), svidTtlMs * 1.5);
      await wait(2000);
      await load.settle();
      const seen = load.window(since);
      const ok = renewed !== undefined && moved !== undefined && seen.failed === 0 && before.size === instances.length;
      return { ok, seen: `${before.size} processes; renewed: ${renewed === undefined ? 'not all' : 'all'}; from the new root: ${moved === undefined ? 'not all' : 'all'}; ${failures(seen)}` };
    },
  },
  {
    title: 'the control plane killed with -9, and started again',
    look: 'requests going on with the last state; the next edit followed as before',
    promise: 'no failed request; all processes come back by themselves; nothing lost',
    async run({ load, stage }) {
      const since = performance.now();
      await stop(stage.controlPlane, 'SIGKILL');
      await wait(4000);
      await stage.startControlPlane();
      const back = await until(async () => (await certificates(stage)).size === instances.length, 30_000);
      stage.edit('payments.yaml', (text) => text.replace(/weight: 50/, 'weight: 100').replace(/weight: 50/, 'weight: 0'));
      await wait(1000);
      const after = await observe(load, 3000);
      await load.settle();
      const seen = load.window(since);
      const v1 = share(after.versions, 'v1');
      return { ok: seen.failed === 0 && back !== undefined && v1 === 1, seen: `${failures(seen)}; ${back === undefined ? 'not all' : 'all'} came back; after the next edit v1 gets ${percent(v1)}` };
    },
  },
];

/** The certificate of each process that is connected to the control plane, by client id. */
async function certificates(stage) {
  const { clients } = await stage.api('/v1/clients');
  return new Map(clients.filter(({ certificate }) => certificate).map(({ node, certificate }) => [node, certificate]));
}

function changed(before, after) {
  return [...before].every(([node, { serialNumber }]) => after.has(node) && after.get(node).serialNumber !== serialNumber);
}

/** How many calls of payments the fault filter of orders has aborted so far. */
async function injected(stage) {
  const answer = await stage.metrics('orders');
  let sum = 0;
  for (const line of answer.split('\n')) {
    if (line.startsWith('istio_requests_total{') && line.includes('reporter="source"') && line.includes('response_flags="FI"')) sum += Number(line.slice(line.lastIndexOf(' ') + 1));
  }
  return sum;
}

/** What a process without certificate gets from payments' fees port: `refused`, or the status. */
async function plainText(stage) {
  const { registrations } = await stage.api('/v1/registrations');
  const { address, port } = registrations.find(({ group, portName }) => group === 'payments-v1' && portName === 'http-fees');
  return new Promise((resolve) => {
    const socket = connect(port, address);
    const outgoing = request({ createConnection: () => socket, path: '/fees', host: 'payments' }, (answer) => resolve(answer.statusCode));
    outgoing.on('error', () => resolve('refused'));
    outgoing.end();
  });
}
