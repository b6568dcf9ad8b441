// The stage: a control plane, three services in five processes, and constant load on the frontend.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start, stop, weft } from './processes.js';

const here = fileURLToPath(new URL('..', import.meta.url));
const cli = fileURLToPath(new URL('../../../packages/cli/bin/weft.js', import.meta.url));

export const instances = [
  { name: 'payments-v1-a', service: 'payments', workload: 'payments-v1', account: 'payments', version: 'v1' },
  { name: 'payments-v1-b', service: 'payments', workload: 'payments-v1', account: 'payments', version: 'v1' },
  { name: 'payments-v2', service: 'payments', workload: 'payments-v2', account: 'payments', version: 'v2' },
  { name: 'orders', service: 'orders', workload: 'orders', account: 'orders', version: 'v1' },
  { name: 'frontend', service: 'frontend', workload: 'frontend', account: 'frontend', version: 'v1' },
];

export class Stage {
  processes = new Map();
  metricsPorts = new Map();

  constructor({ svidTtl }) {
    this.folder = mkdtempSync(join(tmpdir(), 'weft-demo-'));
    this.mesh = join(this.folder, 'mesh');
    this.logs = join(this.folder, 'logs');
    this.data = join(this.folder, 'data');
    this.svidTtl = svidTtl;
    mkdirSync(this.logs);
    cpSync(join(here, 'mesh'), this.mesh, { recursive: true });
  }

  /** Starts the control plane; again on the same ports after a kill. */
  async startControlPlane() {
    this.ports ??= await Promise.all([freePort(), freePort(), freePort()]);
    const [xds, tls, http] = this.ports;
    const args = ['up', '--config', this.mesh, '--data', this.data, '--svid-ttl', this.svidTtl, '--xds-port', xds, '--xds-tls-port', tls, '--http-port', http];
    this.controlPlane = start('control-plane', cli, { args: args.map(String), logs: this.logs, ready: /^weft ready .*$/m });
    const [line] = await this.controlPlane.ready;
    this.xdsTls = /xds-tls=(\S+)/.exec(line)[1];
    this.http = /http=(\S+)/.exec(line)[1];
    return line;
  }

  async startService({ name, service, workload, account, version }) {
    const tokenFile = join(this.folder, `${name}.token`);
    const token = await weft(cli, ['token', 'create', '--workload', `default/${workload}`, '--identity', `default/${account}`, '--control-plane', this.http], this.admin);
    writeFileSync(tokenFile, token, { mode: 0o600 });
    const metrics = this.metricsPorts.get(name) ?? (await freePort());
    this.metricsPorts.set(name, metrics);
    const process = start(name, join(here, 'services', `${service}.js`), {
      logs: this.logs,
      ready: /is in the mesh.*$/m,
      env: {
        WEFT_CONTROL_PLANE: this.xdsTls,
        WEFT_WORKLOAD: `default/${workload}`,
        WEFT_TOKEN_FILE: tokenFile,
        WEFT_STATE_DIR: join(this.folder, 'state', name),
        VERSION: version,
        INSTANCE: name,
        PORT: '0',
        WEFT_METRICS_PORT: String(metrics),
      },
    });
    this.processes.set(name, process);
    const [line] = await process.ready;
    return /http:\/\/\S+/.exec(line)?.[0];
  }

  get admin() {
    return { WEFT_ADMIN_TOKEN_FILE: join(this.data, 'admin.token') };
  }

  weft(...args) {
    return weft(cli, args, this.admin);
  }

  /** GET of the control plane's HTTP API. */
  async api(path) {
    const token = readFileSync(join(this.data, 'admin.token'), 'utf8').trim();
    const answer = await fetch(`http://${this.http}${path}`, { headers: { authorization: `Bearer ${token}` } });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** The Prometheus text of one service's process. */
  async metrics(name) {
    const answer = await fetch(`http://127.0.0.1:${this.metricsPorts.get(name)}/metrics`);
    return answer.text();
  }

  /** Edits a file of the mesh's configuration as an editor does: write beside it, rename over it. */
  edit(file, change) {
    const path = join(this.mesh, file);
    const text = readFileSync(path, 'utf8');
    const changed = change(text);
    if (changed === text) throw new Error(`the demo could not edit ${path}`);
    writeFileSync(`${path}.new`, changed);
    renameSync(`${path}.new`, path);
    return () => {
      writeFileSync(`${path}.new`, text);
      renameSync(`${path}.new`, path);
    };
  }

  async intruder() {
    const tokenFile = join(this.folder, 'intruder.token');
    writeFileSync(tokenFile, await this.weft('token', 'create', '--workload', 'default/intruder', '--identity', 'default/intruder', '--control-plane', this.http), { mode: 0o600 });
    const process = start('intruder', join(here, 'services', 'intruder.js'), {
      logs: this.logs,
      ready: /^\{.*\}$/m,
      env: { WEFT_CONTROL_PLANE: this.xdsTls, WEFT_WORKLOAD: 'default/intruder', WEFT_TOKEN_FILE: tokenFile },
    });
    const [line] = await process.ready;
    await process.exited;
    return JSON.parse(line);
  }

  async close() {
    await Promise.all([...this.processes.values()].reverse().map((process) => stop(process)));
    if (this.controlPlane) await stop(this.controlPlane);
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
