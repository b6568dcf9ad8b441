// `npm run demo`: three services in one mesh, and what happens to them. `--once` ends after the acts with 0 only if all held.
import { setTimeout as wait } from 'node:timers/promises';
import { acts } from './acts.js';
import { Load } from './lib/load.js';
import { killAll } from './lib/processes.js';
import { instances, Stage } from './lib/stage.js';
import { table, View } from './lib/view.js';

const once = process.argv.includes('--once');
const only = process.argv.find((argument) => argument.startsWith('--act='))?.slice(6).split(',').map(Number);
const svidTtl = '20s';
const rate = Number(process.env.DEMO_RATE ?? 100);

const stage = new Stage({ svidTtl });
process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    process.stdout.write('\nstopping …\n');
    killAll();
    process.exit(130);
  });
}

process.stdout.write(`Weft demo. Configuration: ${stage.mesh}   Logs: ${stage.logs}\n`);
let rows = [];
try {
  process.stdout.write(`starting the control plane … ${await stage.startControlPlane()}\n`);
  let frontend;
  for (const instance of instances) {
    process.stdout.write(`starting ${instance.name} as default/${instance.account} …\n`);
    frontend = (await stage.startService(instance)) ?? frontend;
  }
  const { origin } = new URL(frontend);
  const load = new Load(origin, rate);
  const first = await load.send();
  if (!first.ok) throw new Error(`the first request failed: ${first.status} ${first.error}`);
  process.stdout.write(`${rate} requests a second: you → frontend (Express) → orders (Fastify) → payments (gRPC), each a process with its own identity\n`);
  const view = new View(load);
  load.start();
  view.start();
  await wait(2000);
  const context = { load, stage, view, svidTtlMs: Number.parseInt(svidTtl, 10) * 1000 };
  for (const [index, act] of acts.entries()) {
    if (only && !only.includes(index + 1)) continue;
    view.announce(index + 1, act.title, act.look);
    let result;
    try {
      result = await act.run(context);
    } catch (error) {
      result = { ok: false, seen: `the act broke off: ${error.message}` };
    }
    view.verdict(result.ok, result.seen);
    rows.push([act.promise, result.seen, result.ok]);
  }
  if (once) {
    view.stop();
    await load.stop();
  }
  view.say();
  view.say(table(rows));
  if (!once) {
    view.say();
    view.say('Still running. Try next:');
    view.say(`  curl ${origin}/orders/1`);
    view.say(`  edit ${stage.mesh}/payments.yaml and watch the split`);
    view.say(`  curl http://${stage.http}/v1 shows what the control plane knows`);
    view.say('Ctrl-C ends it.');
    await new Promise(() => {});
  }
  await stage.close();
} catch (error) {
  process.stdout.write(`\nthe demo cannot go on: ${error.message}\n`);
  process.exit(1);
}
process.exit(rows.length > 0 && rows.every(([, , ok]) => ok) ? 0 : 1);
