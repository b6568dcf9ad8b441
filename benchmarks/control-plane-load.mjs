// `weft up` under load, in a process of its own: 1000 services, 200 Weft clients (delta, plain text on loopback) that follow ten each.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { create } from '@weft/xds-api/protobuf';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { serviceDefinition } from '@weft/xds-api';
import { AggregatedDiscoveryService, DeltaDiscoveryRequestSchema } from '@weft/xds-api/discovery';
import { request } from 'undici';

const [services, clients, followed, perFile] = [1000, 200, 10, 100];
const url = (type) => `type.googleapis.com/envoy.config.${type}`;
const types = { listener: url('listener.v3.Listener'), route: url('route.v3.RouteConfiguration'), cluster: url('cluster.v3.Cluster'), endpoint: url('endpoint.v3.ClusterLoadAssignment') };
const folder = mkdtempSync(join(tmpdir(), 'weft-load-'));

function document(index, last) {
  const subnet = `10.${index >> 8}.${index & 255}`;
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: svc-${index} }
spec:
  hosts: [svc-${index}.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: ${subnet}.1, serviceAccount: svc-${index} }, { address: ${subnet}.${last}, serviceAccount: svc-${index} }]
`;
}

function writeFile(file, last = () => 2) {
  const text = Array.from({ length: perFile }, (_, at) => document(file * perFile + at, last(file * perFile + at))).join('---\n');
  const path = join(folder, `services-${file}.yaml`);
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

/** A client that acknowledges everything and follows each Listener down to its endpoints. */
class Follower {
  /** Endpoint assignments received, by name. */
  endpoints = new Map();
  bytes = 0;
  #call;
  #client;
  #first = true;

  constructor(address, number) {
    const { deltaAggregatedResources: method } = serviceDefinition(AggregatedDiscoveryService);
    this.number = number;
    this.#client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    this.#call = this.#client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, new Metadata());
    this.#call.on('error', () => undefined);
    this.#call.on('data', (response) => {
      for (const { name, resource } of response.resources) {
        this.bytes += resource.value.length;
        if (response.typeUrl === types.endpoint) {
          this.endpoints.set(name, (this.endpoints.get(name) ?? 0) + 1);
          continue;
        }
        if (response.typeUrl !== types.listener) continue;
        const cluster = `outbound|80||${name.slice(0, -3)}`;
        for (const type of ['route', 'cluster', 'endpoint']) this.#send(types[type], { resourceNamesSubscribe: [cluster] });
      }
      this.#send(response.typeUrl, { responseNonce: response.nonce });
    });
  }

  #send(typeUrl, fields) {
    const id = `weft~127.0.0.1~c${this.number}.default~default.svc.cluster.local`;
    this.#call.write(create(DeltaDiscoveryRequestSchema, { typeUrl, ...fields, ...(this.#first && { node: { id, userAgentName: 'weft' } }) }));
    this.#first = false;
  }

  subscribe(names) {
    this.#send(types.listener, { resourceNamesSubscribe: names });
  }

  close() {
    this.#call.cancel();
    this.#client.close();
  }
}

const until = async (condition) => {
  for (const end = Date.now() + 60_000; !(await condition()); await new Promise((resolve) => setTimeout(resolve, 5))) {
    if (Date.now() > end) throw new Error('nothing happened for a minute');
  }
};

for (let file = 0; file < services / perFile; file += 1) writeFile(file);
const bin = fileURLToPath(new URL('../packages/cli/bin/weft.js', import.meta.url));
const started = performance.now();
const child = spawn(process.execPath, [bin, 'up', '--config', folder, '--data', join(folder, 'data'), '--xds-port', '0', '--xds-tls-port', '0', '--http-port', '0'], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, WEFT_LOG: 'error' } });
const [line] = await once(child.stdout, 'data');
const [, xds, http] = /xds=(\S+) .* http=(\S+)/.exec(line.toString());

async function measure() {
  const { body } = await request(`http://${http}/metrics`);
  const text = await body.text();
  const value = (name) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  return { memory: value('process_resident_memory_bytes'), cpuMs: value('process_cpu_seconds_total') * 1000, bytes: value('weft_xds_bytes_total'), runs: value('weft_generator_runs_total'), encodes: value('weft_resource_encodes_total') };
}
let last = await measure();
/** What a step cost since the one before. */
async function report(step, since) {
  const now = await measure();
  const row = [`${Math.round(performance.now() - since)} ms`, `${Math.round(now.cpuMs - last.cpuMs)} ms CPU`, `${((now.memory - last.memory) / 2 ** 20).toFixed(1)} MB more`, `${now.runs - last.runs} generator runs`, `${now.encodes - last.encodes} encodes`, `${now.bytes - last.bytes} bytes sent`];
  console.log(`  ${step.padEnd(34)} ${row.join(', ')}`);
  last = now;
}

const followers = [];
try {
  console.log(`  ${'start with 1000 services'.padEnd(34)} ${Math.round(performance.now() - started)} ms, ${Math.round(last.cpuMs)} ms CPU, ${(last.memory / 2 ** 20).toFixed(1)} MB`);
  const idle = last.memory;
  let since = performance.now();
  for (let number = 0; number < clients; number += 1) {
    followers.push(new Follower(xds, number));
    followers.at(-1).subscribe(['nosuch.test:80']);
  }
  const connected = async () => Number(/pilot_xds\{profile="weft"\} (\d+)/.exec(await (await request(`http://${http}/metrics`)).body.text())?.[1]);
  await until(async () => (await connected()) === clients);
  await report(`${clients} clients connect`, since);
  console.log(`  ${'memory of an idle stream'.padEnd(34)} ${((last.memory - idle) / clients / 1024).toFixed(0)} kB, with its connection`);

  since = performance.now();
  const names = (number) => Array.from({ length: followed }, (_, at) => `svc-${(number * followed + at * 97) % services}.test:80`);
  for (const follower of followers) follower.subscribe(names(follower.number));
  await until(() => followers.every(({ endpoints }) => endpoints.size === followed));
  await report(`each follows ${followed} services`, since);

  const count = (name) => followers.reduce((sum, { endpoints }) => sum + (endpoints.get(name) ?? 0), 0);
  const changed = 'outbound|80||svc-500.test';
  const subscribers = count(changed);
  since = performance.now();
  writeFile(5, (index) => (index === 500 ? 3 : 2));
  await until(() => count(changed) === 2 * subscribers);
  await report(`one endpoint changes (${subscribers} clients)`, since);

  since = performance.now();
  const all = () => followers.reduce((sum, { endpoints }) => sum + [...endpoints.values()].reduce((a, b) => a + b, 0), 0);
  const before = all();
  for (let file = 0; file < services / perFile; file += 1) writeFile(file, () => 4);
  await until(() => all() === before + clients * followed);
  await report('every service changes', since);
} finally {
  for (const follower of followers) follower.close();
  child.kill('SIGTERM');
  await once(child, 'exit');
  rmSync(folder, { recursive: true, force: true });
}
