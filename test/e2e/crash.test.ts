// kill -9 of `weft up`: what it had acknowledged is there again after a restart.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CaSource, channelCredentials, TlsContexts } from '@weft/spiffe';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { request } from 'undici';
import { main } from '@weft/cli';
import { AdsTestClient, weftNode, type DeltaStream } from '../../packages/xds-server/src/discovery/testing.js';
import { ConfigFolder } from '../support/config-folder.js';
import { freePort } from '../support/free-port.js';
import { groupYaml } from '../support/test-mesh.js';

const bin = fileURLToPath(new URL('../../packages/cli/bin/weft.js', import.meta.url));
const data = mkdtempSync(join(tmpdir(), 'weft-crash-'));
const route = (status: string) => `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: web }\nspec: { hosts: [web.test], http: [{ directResponse: { status: ${status} } }] }\n`;
const listener = 'weft/inbound/http/127.0.0.1:8123';

let folder: ConfigFolder;
let child: ChildProcess;
let http: string;
let plain: string;
let tls: string;
let ports: string[];
const closing: (() => void)[] = [];

async function up(): Promise<void> {
  child = spawn(process.execPath, [bin, 'up', '--config', folder.path, '--data', data, ...ports], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, WEFT_LOG: 'silent' } });
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  [, plain, tls, http] = /xds=(\S+) xds-tls=(\S+) http=(\S+)/.exec(line.toString()) as unknown as [string, string, string, string];
}

async function kill(): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function admin<T>(path: string, method: 'GET' | 'POST' = 'GET'): Promise<T> {
  const { statusCode, body } = await request(`http://${http}${path}`, { method, headers: { authorization: `Bearer ${readFileSync(join(data, 'admin.token'), 'utf8').trim()}` } });
  expect(statusCode).toBe(200);
  return (await body.json()) as T;
}

/** A workload whose stream acknowledges nothing. */
async function joined(): Promise<{ identity: CaSource; stream: DeltaStream }> {
  let token = '';
  const output = { stdout: (text: string) => void (token += text), stderr: () => undefined };
  expect(await main(['token', 'create', '--workload', 'default/web', '--identity', 'default/web', '--data', data, '--control-plane', http], output)).toBe(0);
  const identity = new CaSource({ address: tls, token: token.trim() });
  await identity.ready();
  closing.push(() => identity.close());
  return { identity, stream: connect(identity) };
}

function connect(identity: CaSource): DeltaStream {
  const client = new AdsTestClient(tls, channelCredentials(new TlsContexts(identity), { expectedIds: [] }));
  closing.push(() => client.close());
  return client.delta(weftNode({ metadata: { NAMESPACE: 'default', AUTO_REGISTER_GROUP: 'web', INSTANCE_IPS: '127.0.0.1' } }));
}

const registered = async () => (await admin<{ registrations: { port: number; holders: string[] }[] }>('/v1/registrations')).registrations.map(({ port }) => port);
const authorities = async () => (await admin<{ authorities: { state: string; authority: string }[] }>('/v1/ca')).authorities;

beforeAll(async () => {
  folder = new ConfigFolder({ 'group.yaml': groupYaml('web', 'web'), 'route.yaml': route('201') });
  ports = (await Promise.all(['--xds-port', '--xds-tls-port', '--http-port'].map(async (name) => [name, String(await freePort())]))).flat();
  await up();
});

afterAll(async () => {
  for (const close of closing) close();
  if (child.exitCode === null && child.signalCode === null) await kill();
  folder.remove();
  rmSync(data, { recursive: true, force: true });
});

describe('kill -9 of weft up', () => {
  let workload: Awaited<ReturnType<typeof joined>>;

  it('loses no registration whose Listener was sent', async () => {
    workload = await joined();
    workload.stream.subscribe('listener', listener);
    expect((await workload.stream.next()).resources.map(({ name }) => name)).toEqual([listener]);
    await kill();
    await up();
    expect(await registered()).toEqual([8123]);
  });

  it('in the middle of a rotation leaves one that can be finished, and everybody who was away comes back', async () => {
    const [before] = await authorities();
    const stream = connect(workload.identity);
    stream.subscribe('secret', 'ROOTCA');
    await stream.next();
    // Nobody acknowledges: it waits between the two steps.
    const rotating = admin('/v1/ca/rotate', 'POST').catch(() => undefined);
    await vi.waitFor(async () => expect((await authorities()).map(({ state }) => state)).toEqual(['active', 'prepared']), { timeout: 5000, interval: 20 });
    await kill();
    await rotating;
    await up();
    const prepared = (await authorities())[1]!;
    await admin('/v1/ca/rotate', 'POST');
    expect(await authorities()).toEqual([expect.objectContaining({ state: 'active', authority: prepared.authority }), expect.objectContaining({ state: 'old', authority: before!.authority })]);
    await kill();
    await up();
    // Its bundle is from before the rotation.
    const again = connect(workload.identity);
    again.subscribe('secret', 'ROOTCA');
    expect((await again.next()).resources.map(({ name }) => name)).toEqual(['ROOTCA']);
    const fresh = await joined();
    expect(fresh.identity.current()!.bundles.get('cluster.local')!.authorities).toHaveLength(2);
  });

  it('right after a change of configuration keeps that change, even where the file is broken by then', async () => {
    folder.write('route.yaml', route('202'));
    const client = new AdsTestClient(plain);
    closing.push(() => client.close());
    const stream = client.delta(weftNode());
    stream.subscribe('route', 'outbound|80||web.test');
    // The varint of 201 or 202.
    const status = (bytes: Uint8Array = new Uint8Array()) => bytes.find((byte, at) => (byte === 0xc9 || byte === 0xca) && bytes[at + 1] === 1);
    let seen: number | undefined;
    while (seen !== 0xca) seen = status((await stream.next()).resources[0]?.resource?.value);
    await kill();
    folder.write('route.yaml', route('nonsense'));
    await up();
    const after = new AdsTestClient(plain);
    closing.push(() => after.close());
    const second = after.delta(weftNode());
    second.subscribe('route', 'outbound|80||web.test');
    expect(status((await second.next()).resources[0]?.resource?.value)).toBe(0xca);
    expect((await admin<{ problems: { reason: string }[] }>('/v1/problems')).problems.map(({ reason }) => reason)).toEqual([expect.stringContaining('must be a')]);
  });
});
