import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { CaSource, formatJoinToken, parseJoinToken, type CaSourceOptions, type Logger } from '@weft/spiffe';
import { FakeClock } from '@weft/spiffe/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { StoreAuditSink } from '../index.js';
import { MemoryStore } from '@weft/store';
import { startControlPlane, type TestControlPlane } from '../testing.js';

// The machine may be busy: only the condition decides.
const until = (condition: () => void) => vi.waitFor(condition, { timeout: 15_000 });
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(options: Parameters<typeof startControlPlane>[0] = {}): Promise<TestControlPlane> {
  const controlPlane = await startControlPlane(options);
  cleanups.push(() => controlPlane.close());
  return controlPlane;
}

function joinMesh(options: CaSourceOptions): { source: CaSource; clock: FakeClock; log: string[] } {
  const clock = new FakeClock();
  const log: string[] = [];
  const write = (_fields: object, message: string) => void log.push(message);
  const logger: Logger = { debug: write, info: write, warn: write, error: write };
  const source = new CaSource({ clock, logger, random: () => 0.5, ...options });
  cleanups.push(() => source.close());
  return { source, clock, log };
}
const folder = () => {
  const parent = mkdtempSync(path.join(tmpdir(), 'weft-state-'));
  // A source may still be writing when its test is over.
  cleanups.push(() => rmSync(parent, { recursive: true, force: true, maxRetries: 10 }));
  return path.join(parent, 'state');
};
const halfLife = 1_802_000;

describe('the first contact', () => {
  it('is pinned by the join token alone', async () => {
    const { ca, address, token } = await start();
    const { source } = joinMesh({ address, token: await token() });
    const { svid, bundles } = await source.ready();
    expect(svid.id.toString()).toBe('spiffe://td/ns/shop/sa/web');
    expect([...bundles.values()].map(({ pem }) => pem)).toEqual([ca.bundle().join('')]);
    expect(svid.certificates).toHaveLength(1);
  });

  it('is pinned by the root certificate', async () => {
    const { ca, address, token } = await start();
    expect((await joinMesh({ address, token: await token(), rootPem: ca.bundle()[0]! }).source.ready()).svid.id.serviceAccount).toBe('web');
  });

  it('is refused when the pin is of another root, and the token is not shown to that server', async () => {
    const { address, token, tokens } = await start();
    const other = await start();
    const bearer = await token();
    const { secret } = parseJoinToken(bearer)!;
    const { rootSha256 } = parseJoinToken(await other.token())!;
    await expect(joinMesh({ address, token: formatJoinToken({ secret, rootSha256 }) }).source.ready()).rejects.toThrow(/does not show the root that the join token pins/);
    await expect(joinMesh({ address, token: bearer, rootPem: other.ca.bundle()[0]! }).source.ready()).rejects.toThrow(/root certificates do not vouch for the control plane/);
    expect(await tokens.attest({ bearer })).toBeDefined();
  });

  it('is refused without any pin, without a token, and with a damaged one', async () => {
    const { ca, address } = await start();
    await expect(joinMesh({ address, token: 'some.jwt.token' }).source.ready()).rejects.toThrow(/nothing vouches for the control plane/);
    await expect(joinMesh({ address }).source.ready()).rejects.toThrow(/nothing vouches for the control plane/);
    await expect(joinMesh({ address, rootPem: ca.bundle()[0]! }).source.ready()).rejects.toThrow(/no token/);
    await expect(joinMesh({ address, token: 'weft1.abc' }).source.ready()).rejects.toThrow(/damaged/);
    for (const wrong of ['localhost', 'localhost:', ':15012', '::1:15012', '[::1]', 'a:0', 'a:65536', '[x]:1']) expect(() => joinMesh({ address: wrong }), wrong).toThrow(/expected HOST:PORT/);
    expect(() => joinMesh({ address, rootPem: 'x' })).toThrow(/holds no certificate/);
  });

  it('is refused to a workload that poses as the control plane with its own good SVID', async () => {
    const real = await start();
    const workload = joinMesh({ address: real.address, token: await real.token('evil/impostor') }).source;
    await workload.ready();
    const impostor = await start({ identity: workload, ca: real.ca });
    await expect(joinMesh({ address: impostor.address, token: await real.token(), rootPem: real.ca.bundle()[0]! }).source.ready()).rejects.toThrow(/not a control plane: its certificate is of .*sa\/impostor/);
  });

  it("accepts a control plane that is not Weft's by its host name", async () => {
    const real = await start();
    const named = real.ca.svidSource({ spiffeId: 'spiffe://td/ns/istio-system/sa/istiod', ipAddresses: ['127.0.0.1'] });
    cleanups.push(() => named.close());
    const foreign = await start({ ca: real.ca, identity: named, store: new MemoryStore() });
    expect(await joinMesh({ address: foreign.address, token: await foreign.token(), rootPem: real.ca.bundle()[0]! }).source.ready()).toBeDefined();
  });

  it('says why the authority refused', async () => {
    const { address, token, tokens } = await start();
    const bearer = await token();
    await tokens.attest({ bearer });
    await expect(joinMesh({ address, token: bearer }).source.ready()).rejects.toThrow(/join token is unknown, expired or used up/);
  });

  it('does not take a certificate that does not end in the roots beside it', async () => {
    const { ca, address, token } = await start();
    const other = await start();
    vi.spyOn(ca, 'bundle').mockReturnValue(other.ca.bundle());
    await expect(joinMesh({ address, token: await token() }).source.ready()).rejects.toThrow(/was not issued by an authority of td/);
    vi.spyOn(ca, 'bundle').mockReturnValue([]);
    await expect(joinMesh({ address, token: await token() }).source.ready()).rejects.toThrow(/without a root certificate/);
  });

  it('is tried again while nobody answers', async () => {
    const first = await start();
    const bearer = await first.token();
    const placeholder = createServer().listen(0, '127.0.0.1');
    await once(placeholder, 'listening');
    const { port } = placeholder.address() as AddressInfo;
    await new Promise((resolve) => placeholder.close(resolve));
    const { source, clock, log } = joinMesh({ address: `127.0.0.1:${port}`, token: bearer });
    await until(() => expect(log).toContain('no SVID yet: the control plane cannot be reached'));
    const second = await startControlPlane({ port, ca: first.ca, store: new MemoryStore() });
    cleanups.push(() => second.close());
    const joined = source.ready();
    const moving = setInterval(() => clock.advance(2000), 20);
    // The second control plane shares the authority and not the tokens: to be asked at all is what counts here.
    await expect(joined).rejects.toThrow(/unknown, expired or used up/).finally(() => clearInterval(moving));
  });
});

describe('renewal', () => {
  it('happens at half life with a new key, by the SVID and not by the token', async () => {
    const store = new MemoryStore();
    const { address, token } = await start({ store });
    const { source, clock } = joinMesh({ address, token: await token() });
    const first = await source.ready();
    clock.advance(halfLife);
    await until(() => expect(source.current()!.generation).toBe(2));
    // The authority's clock stands still: half of what is left.
    clock.advance(halfLife / 2);
    await until(() => expect(source.current()!.generation).toBe(3));
    const now = source.current()!.svid;
    expect(now.id.equals(first.svid.id)).toBe(true);
    expect(now.keyPem).not.toBe(first.svid.keyPem);
    const issues = (await new StoreAuditSink(store).lines()).map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ event, attestor }) => event === 'issue' && attestor !== 'own');
    expect(issues.map(({ attestor }) => attestor)).toEqual(['join-token', 'svid-renewal', 'svid-renewal']);
  });

  it('does not make somebody else of a workload', async () => {
    const { ca, address, token } = await start();
    const { source, clock, log } = joinMesh({ address, token: await token() });
    await source.ready();
    const signCsr = ca.signCsr.bind(ca);
    vi.spyOn(ca, 'signCsr').mockImplementation((csr, granted) => signCsr({ ...csr, names: [] }, { ...granted, spiffeId: 'spiffe://td/ns/shop/sa/other' }));
    clock.advance(halfLife);
    await until(() => expect(log).toContain('the SVID cannot be renewed yet'));
    expect(source.current()).toMatchObject({ generation: 1, svid: { id: { path: '/ns/shop/sa/web' } } });
  });

  it('asks for a token again when the SVID has expired: a newer one may be there by then', async () => {
    const { address, token, tokens } = await start();
    let now: string | undefined = await token();
    const { source, clock } = joinMesh({ address, token: () => now });
    await source.ready();
    now = await token();
    const attest = vi.spyOn(tokens, 'attest');
    clock.advance(halfLife);
    await until(() => expect(source.current()!.generation).toBe(2));
    expect(attest).not.toHaveBeenCalled();
    const moving = setInterval(() => clock.advance(600_000), 20);
    await until(() => expect(attest.mock.calls.map(([caller]) => caller.bearer)).toContain(now)).finally(() => clearInterval(moving));
  });

  it('keeps the SVID while the control plane is away, and goes on when it is back', async () => {
    const store = new MemoryStore();
    const first = await startControlPlane({ store });
    const { source, clock, log } = joinMesh({ address: first.address, token: await first.token() });
    await source.ready();
    first.close();
    clock.advance(halfLife);
    await until(() => expect(log).toContain('the SVID cannot be renewed yet'));
    expect(source.current()!.generation).toBe(1);
    await start({ store, port: Number(first.address.split(':')[1]) });
    const moving = setInterval(() => clock.advance(200), 20);
    await until(() => expect(source.current()!.generation).toBe(2)).finally(() => clearInterval(moving));
  });
});

describe('rotation of the root', () => {
  it('is followed from the pushed bundle, and renewal goes on under the new root', async () => {
    const { ca, address, token } = await start();
    const { source, clock } = joinMesh({ address, token: await token() });
    await source.ready();
    const roots = () => source.current()!.bundles.get('td')!.authorities.map((authority) => authority.toString());
    source.setAuthorities(ca.bundle());
    expect(source.current()!.generation).toBe(1);
    await ca.authorities.prepare();
    source.setAuthorities(ca.bundle());
    expect([roots(), source.current()!.generation]).toEqual([ca.bundle(), 2]);
    const { certificate } = await ca.authorities.activate();
    source.setAuthorities(ca.bundle());
    expect(source.current()!.svid.leaf.checkIssued(certificate)).toBe(false);
    clock.advance(5000);
    await until(() => expect(source.current()!.svid.leaf.checkIssued(certificate)).toBe(true));
    await ca.authorities.removeOld();
    source.setAuthorities(ca.bundle());
    expect(roots()).toEqual([certificate.toString()]);
    const { generation } = source.current()!;
    clock.advance(halfLife);
    await until(() => expect(source.current()!.generation).toBe(generation + 1));
  });

  it('keeps the last good bundle when the pushed one is none', async () => {
    const { ca, address, token } = await start();
    const { source } = joinMesh({ address, token: await token() });
    const { svid, bundles } = await source.ready();
    for (const bad of [[], [''], [svid.chainPem], [...ca.bundle(), 'x', svid.chainPem]]) expect(() => source.setAuthorities(bad)).toThrow(/trust bundle of td/);
    expect(source.current()).toMatchObject({ generation: 1, bundles });
  });
});

describe('the state directory', () => {
  async function saved() {
    const controlPlane = await start();
    const stateDir = folder();
    const bearer = await controlPlane.token();
    const { source } = joinMesh({ address: controlPlane.address, token: bearer, stateDir });
    const { svid } = await source.ready();
    const file = path.join(stateDir, 'identity.json');
    await until(() => expect(readFileSync(file, 'utf8')).toContain('PRIVATE KEY'));
    source.close();
    return { ...controlPlane, stateDir, file, svid, bearer };
  }

  it('brings the identity over a restart, without token and pin, and renews it', async () => {
    const { address, stateDir, file, svid } = await saved();
    expect([statSync(stateDir).mode & 0o777, statSync(file).mode & 0o777]).toEqual([0o700, 0o600]);
    const { source, clock } = joinMesh({ address, stateDir });
    expect((await source.ready()).svid.chainPem).toBe(svid.chainPem);
    clock.advance(halfLife + 60_000);
    await until(() => expect(source.current()!.generation).toBe(2));
    await until(() => expect(readFileSync(file, 'utf8')).not.toContain(JSON.stringify(svid.keyPem)));
  });

  it('still holds with the old token after the root that it pins is gone', async () => {
    const { ca, address, stateDir, bearer } = await saved();
    await ca.authorities.prepare();
    const { source, clock } = joinMesh({ address, stateDir, token: bearer });
    await source.ready();
    source.setAuthorities(ca.bundle());
    await ca.authorities.activate();
    source.setAuthorities(ca.bundle());
    clock.advance(5000);
    await until(() => expect(source.current()!.svid.leaf.checkIssued(ca.authorities.active().certificate)).toBe(true));
    await ca.authorities.removeOld();
    source.setAuthorities(ca.bundle());
    const file = path.join(stateDir, 'identity.json');
    const { svid } = source.current()!;
    await until(() => expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ key: svid.keyPem, bundle: ca.bundle().join('') }));
    source.close();
    expect((await joinMesh({ address, stateDir, token: bearer }).source.ready()).svid.chainPem).toBe(svid.chainPem);
  });

  it('gives way to a new pin: the control plane was set up anew', async () => {
    const { stateDir } = await saved();
    const fresh = await start();
    const { source } = joinMesh({ address: fresh.address, stateDir, token: await fresh.token('shop/new') });
    expect((await source.ready()).svid.id.serviceAccount).toBe('new');
  });

  it.each<[string, (file: string) => void]>([
    ['others can read it', (file) => chmodSync(file, 0o640)],
    ['it is damaged', (file) => writeFileSync(file, readFileSync(file, 'utf8').slice(0, 500))],
    ['its key is of another certificate', (file) => writeFileSync(file, readFileSync(file, 'utf8').replace(/-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/, 'x'))],
    ['its format is newer', (file) => writeFileSync(file, readFileSync(file, 'utf8').replace('"format":1', '"format":2'))],
  ])('is left aside when %s', async (_name, spoil) => {
    const { address, stateDir, file, token } = await saved();
    spoil(file);
    const { source, log } = joinMesh({ address, stateDir, token: await token('shop/again') });
    expect((await source.ready()).svid.id.serviceAccount).toBe('again');
    expect(log).toContain('the saved identity cannot be used');
  });

  it('does not help past expiry: a token is needed then', async () => {
    const { address, stateDir, token } = await saved();
    const clock = new FakeClock(Date.now() + 3_700_000);
    await expect(joinMesh({ address, stateDir, clock }).source.ready()).rejects.toThrow(/no token/);
    const late = joinMesh({ address, stateDir, clock, token: await token() }).source;
    // The authority's clock has not moved, so what it issues has expired for this workload: it is not believed.
    await until(() => expect(late.current()).toBeUndefined());
  });
});
