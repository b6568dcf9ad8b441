import { TlsContexts } from '@weft/spiffe';
import { TestAuthority } from '@weft/spiffe/testing';
import { connect as connectTls } from 'node:tls';
import { connect as connectTcp, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { raw, request, statusOf, testMesh, type TestMesh } from '../testing.js';

const open: { close(): unknown }[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(open.splice(0).map((item) => item.close()));
});

const authority = TestAuthority.create('cluster.local');
const local = { port: 0, host: '127.0.0.1' };
const ok = (_request: unknown, response: { end(text: string): void }) => response.end('ok');
const both = { optional: false, versions: ['v1', 'v2'] } as const;

async function start(options: Parameters<typeof testMesh>[0]): Promise<{ test: TestMesh; port: number }> {
  const test = testMesh(options);
  open.push(test);
  const { port } = await test.mesh.listen(ok as never, local);
  return { test, port };
}

const v1 = (from = '203.0.113.7', to = '10.0.0.1', family = 'TCP4') => Buffer.from(`PROXY ${family} ${from} ${to} 4711 80\r\n`);
const v2 = (hex: string) => Buffer.from(`0d0a0d0a000d0a515549540a${hex}`, 'hex');
const v2tcp4 = v2('2111000c' + 'cb007107' + '0a000001' + '1267' + '0050');
const with_ = (header: Buffer) => Buffer.concat([header, Buffer.from(request('/'))]);

describe('a PROXY protocol header', () => {
  it.each([
    ['version 1', v1(), '203.0.113.7:4711', '10.0.0.1:80'],
    ['version 1 of IPv6', v1('2001:db8::7', '2001:db8::1', 'TCP6'), '[2001:db8::7]:4711', '[2001:db8::1]:80'],
    ['version 2', v2tcp4, '203.0.113.7:4711', '10.0.0.1:80'],
    ['version 2 with TLVs', v2('2111000f' + 'cb007107' + '0a000001' + '1267' + '0050' + '040000'), '203.0.113.7:4711', '10.0.0.1:80'],
    ['version 2 of IPv6', v2('21210024' + '20010db8000000000000000000000007' + '20010db8000000000000000000000001' + '1267' + '0050'), '[2001:db8::7]:4711', '[2001:db8::1]:80'],
  ])('of %s says who the client is', async (_what, header, remote, to) => {
    const { test, port } = await start({ listener: { proxyProtocol: both } });
    expect(statusOf(await raw(port, with_(header)))).toBe(200);
    expect(test.infos[0]).toMatchObject({ downstreamRemoteAddress: remote, downstreamLocalAddress: to, downstreamDirectRemoteAddress: expect.stringMatching(/^127\.0\.0\.1:/) as string });
  });

  it.each([['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n')], ['UNKNOWN with more', Buffer.from('PROXY UNKNOWN ffff::1 ffff::1 1 2\r\n')], ['LOCAL', v2('20000000')], ['LOCAL with more', v2('20000003040000')]])('%s leaves the addresses of the connection', async (_what, header) => {
    const { test, port } = await start({ listener: { proxyProtocol: both } });
    expect(statusOf(await raw(port, with_(header)))).toBe(200);
    expect(test.infos[0]!.downstreamRemoteAddress).toMatch(/^127\.0\.0\.1:/);
    expect(test.infos[0]!.downstreamDirectRemoteAddress).toBeUndefined();
  });

  it.each([
    ['that is not there', Buffer.alloc(0)], ['with a wrong family', v1('2001:db8::7')], ['with a port that is none', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2 99999 80\r\n')], ['with too much', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2 1 80 x\r\n')],
    ['that does not end', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`)], ['of an unknown command', v2('22110000')], ['of UDP', v2('2112000c' + 'cb007107' + '0a000001' + '1267' + '0050')], ['that is too short', v2('21110004' + 'cb007107')],
  ])('%s ends the connection', async (_what, header) => {
    const { test, port } = await start({ listener: { proxyProtocol: both } });
    expect(await raw(port, with_(header))).toBe('');
    expect(test.infos).toEqual([]);
    expect(test.warnings.length).toBe(1);
  });

  it('may be left out where that is configured, and come in pieces', async () => {
    const { test, port } = await start({ listener: { proxyProtocol: { optional: true, versions: ['v1', 'v2'] } } });
    expect(statusOf(await raw(port, request('/', [], 'PUT')))).toBe(200);
    const socket = connectTcp(port, '127.0.0.1').setNoDelay(true);
    sockets.push(socket);
    const answer = new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))));
    for (const byte of with_(v2tcp4)) await new Promise<void>((resolve) => socket.write(Buffer.from([byte]), () => setImmediate(resolve)));
    expect(statusOf(await answer)).toBe(200);
    expect(test.infos.map(({ downstreamRemoteAddress }) => downstreamRemoteAddress)[1]).toBe('203.0.113.7:4711');
  });

  it('of a version that is not allowed ends the connection', async () => {
    const { port } = await start({ listener: { proxyProtocol: { optional: true, versions: ['v2'] } } });
    expect(await raw(port, with_(v1()))).toBe('');
    expect(statusOf(await raw(port, with_(v2tcp4)))).toBe(200);
  });

  it('is no header where none is configured', async () => {
    const { test, port } = await start({ listener: {} });
    expect(statusOf(await raw(port, with_(v1())))).toBe(400);
    expect(test.infos).toEqual([]);
  });

  it('comes before TLS, whose certificate still says who the peer is', async () => {
    const { test, port } = await start({ tls: new TlsContexts(authority.source('/ns/shop/sa/payments')), listener: { mode: 'strict', proxyProtocol: both } });
    const carrier = connectTcp(port, '127.0.0.1');
    sockets.push(carrier);
    carrier.write(v1());
    const { secureContext, ALPNProtocols } = new TlsContexts(authority.source('/ns/shop/sa/web')).upstream({ expectedIds: [], alpn: ['http/1.1'] });
    const socket = connectTls({ socket: carrier, secureContext, ALPNProtocols, rejectUnauthorized: false, checkServerIdentity: () => undefined });
    sockets.push(socket);
    socket.write(request('/'));
    expect(statusOf(await new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data)))))).toBe(200);
    expect(test.infos[0]).toMatchObject({ downstreamRemoteAddress: '203.0.113.7:4711', peer: { spiffeId: 'spiffe://cluster.local/ns/shop/sa/web' } });
  });

  it.each([['remote-ip', '203.0.113.0', 200], ['remote-ip', '127.0.0.0', 403], ['direct-remote-ip', '127.0.0.0', 200], ['direct-remote-ip', '203.0.113.0', 403]] as const)('a rule by %s of %s: %i', async (kind, address, status) => {
    const rbac = { action: 'allow' as const, policies: [{ name: 'p', permissions: [{ kind: 'any' as const }], principals: [{ kind, address, prefixLength: 24 }] }] };
    const { port } = await start({ listener: { proxyProtocol: both, rbac: [rbac] } });
    expect(statusOf(await raw(port, with_(v1())))).toBe(status);
  });
});
