import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { TlsContexts } from '@weft/spiffe';
import { TestAuthority } from '@weft/spiffe/testing';
import { expect, test } from 'vitest';
import { connectionInfo } from './peer-identity.js';

test('a connection knows who both sides are', async () => {
  const authority = TestAuthority.create('td');
  const contexts = (path: string) => new TlsContexts(authority.source(path));
  const server = createServer(contexts('/ns/a/sa/server').serverOptions({ alpn: [], requireClientCertificate: true })).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  const client = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, ...contexts('/ns/a/sa/client').upstream({ expectedIds: [], alpn: [] }) });
  try {
    const [socket] = await accepted;
    const { peer, localUriSan, mutualTls } = connectionInfo(socket);
    expect([peer?.spiffeId, localUriSan?.(), mutualTls]).toEqual(['spiffe://td/ns/a/sa/client', 'spiffe://td/ns/a/sa/server', true]);
  } finally {
    client.destroy();
    server.close();
  }
});
