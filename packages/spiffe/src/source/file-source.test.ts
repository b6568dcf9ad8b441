import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { FileSource, type X509Svid } from '../index.js';
import { FakeClock, TestAuthority } from '../testing.js';

// The machine may be busy: only the condition decides.
const until = (condition: () => void) => vi.waitFor(condition, { timeout: 15_000 });
let folder: string;
let clock: FakeClock;
let source: FileSource | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-files-'));
  clock = new FakeClock();
});
afterEach(() => {
  source?.close();
  rmSync(folder, { recursive: true });
});

const authority = TestAuthority.create('td');
const path = (name: string) => join(folder, name);
const put = (name: string, text: string) => {
  writeFileSync(path(`${name}.new`), text);
  renameSync(path(`${name}.new`), path(name));
};
const write = (svid: X509Svid, bundlePem = authority.pem) => {
  put('tls.crt', svid.chainPem);
  put('tls.key', svid.keyPem);
  put('ca.crt', bundlePem);
};
const open = () => (source = new FileSource({ certificateFile: path('tls.crt'), privateKeyFile: path('tls.key'), caCertificateFile: path('ca.crt'), clock }));

it('waits for the files, then has the identity in them', async () => {
  open();
  await source!.reload();
  expect(source!.current()).toBeUndefined();
  write(authority.svid('/web'));
  expect((await source!.ready()).svid.id.toString()).toBe('spiffe://td/web');
});

it('takes a change over by itself', async () => {
  write(authority.svid('/web'));
  await open().ready();
  const seen: string[] = [];
  source!.subscribe(({ svid }) => seen.push(svid.id.path));
  write(authority.svid('/web2'));
  await until(() => {
    clock.advance(10_000);
    expect(seen.at(-1)).toBe('/web2');
  });
});

it('keeps the last good identity while the files do not fit, and counts no generation for it', async () => {
  const first = authority.svid('/web');
  write(first);
  await open().ready();
  const other = authority.svid('/other');
  for (const spoil of [
    () => put('tls.crt', other.chainPem), // the new certificate, still the old key
    () => put('tls.key', '-----BEGIN PRIVATE KEY-----'),
    () => put('ca.crt', ''),
    () => put('ca.crt', TestAuthority.create('td').pem),
    () => put('tls.crt', authority.pem),
    () => rmSync(path('ca.crt')),
  ]) {
    spoil();
    await source!.reload();
    expect(source!.current()).toMatchObject({ generation: 1, svid: { id: { path: '/web' } } });
    write(first);
    await source!.reload();
  }
  expect(source!.current()?.generation).toBe(1);
  write(other);
  await source!.reload();
  expect(source!.current()?.svid.id.path).toBe('/other');
});
