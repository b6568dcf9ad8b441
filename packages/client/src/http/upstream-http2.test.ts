import { createSecureServer, createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { TlsContexts } from '@weft/spiffe';
import { TestAuthority } from '@weft/spiffe/testing';
import { afterEach, expect, test } from 'vitest';
import { HandMadeMesh, retryPolicy, type Service } from '../../test-support/hand-made-mesh.js';
import { testServer } from '../../test-support/test-server.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function http2(onStream: (stream: ServerHttp2Stream, authority: string) => void, tls?: TlsContexts): Promise<{ port: number; sessions: number }> {
  const server: Http2Server = tls ? createSecureServer(tls.serverOptions({ alpn: ['h2'], requireClientCertificate: true })) : createServer();
  const state = { port: 0, sessions: 0 };
  const open = new Set<{ destroy(): void }>();
  server.on('session', (session) => (state.sessions++, open.add(session)));
  server.on('sessionError', () => {});
  server.on('stream', (stream, headers) => onStream(stream.on('error', () => {}), String(headers[':authority'])));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => { for (const session of open) session.destroy(); server.close(); });
  state.port = (server.address() as AddressInfo).port;
  return state;
}

function mesh(service: Service, tls?: TlsContexts): HandMadeMesh {
  const made = new HandMadeMesh(tls ? { tls } : {}).add('payments', service);
  cleanups.push(() => made.close());
  return made;
}

const answer = (stream: ServerHttp2Stream, authority: string) => {
  stream.respond({ ':status': 200, 'x-authority': authority });
  stream.pipe(stream);
};

test('an HTTP/2 cluster is spoken to in HTTP/2 without TLS, with the logical authority', async () => {
  const server = await http2(answer);
  const { client } = mesh({ ports: [server.port], cluster: { protocol: 'http2' } });
  const responses = await Promise.all(Array.from({ length: 10 }, async (_, i) => {
    const { headers, body } = await client.request('http://payments/', { method: 'POST', body: `body ${i}` });
    return [headers['x-authority'], await body.text()];
  }));
  expect(responses).toEqual(Array.from({ length: 10 }, (_, i) => ['payments', `body ${i}`]));
  expect(server.sessions).toBe(1);
});

test('and over mutual TLS, whatever the spelling of the host', async () => {
  const authority = TestAuthority.create('cluster.local');
  const server = await http2(answer, new TlsContexts(authority.source('/ns/shop/sa/payments')));
  const tls = { identityProvider: 'default', rootProvider: 'default', subjectAltNames: [], alpn: ['istio', 'h2'], sni: 'outbound_.80_._.payments' };
  const { client } = mesh(
    { ports: [server.port], endpoint: () => ({ spiffeId: 'spiffe://cluster.local/ns/shop/sa/payments' }), cluster: { protocol: 'http2', transportSockets: [{ name: 'tls', match: {}, tls }] } },
    new TlsContexts(authority.source('/ns/shop/sa/web')),
  );
  for (const host of ['payments', 'payments.shop', 'payments']) {
    const { headers, body } = await client.request('http://payments/', { method: 'POST', body: 'x', headers: { host } });
    expect([headers['x-authority'], await body.text()]).toEqual([host, 'x']);
  }
  expect(server.sessions).toBe(1);
});

test('what the handshake agrees on, where that is left to it (auto_config); HTTP/1.1 without TLS', async () => {
  const authority = TestAuthority.create('cluster.local');
  const contexts = new TlsContexts(authority.source('/ns/shop/sa/payments'));
  const modern = await http2(answer, contexts);
  const old = await testServer((request, response) => response.end(request.httpVersion), { tls: contexts });
  const plain = await testServer((request, response) => response.end(request.httpVersion));
  cleanups.push(() => old.close(), () => plain.close());
  const tls = { identityProvider: 'default', rootProvider: 'default', subjectAltNames: [], alpn: ['istio', 'h2', 'http/1.1'], sni: '' };
  const through = async (port: number, protocol: 'auto' | 'http1', secure: boolean) => {
    const { client } = mesh({ ports: [port], cluster: { protocol, transportSockets: [{ name: '', match: {}, ...(secure && { tls }) }] } }, new TlsContexts(authority.source('/ns/shop/sa/web')));
    const { statusCode, headers, body } = await client.request('http://payments/', { method: 'POST', body: 'x' });
    const text = await body.text();
    return statusCode === 200 ? (headers['x-authority'] === 'payments' ? 'h2' : text) : statusCode;
  };
  expect([await through(modern.port, 'auto', true), await through(old.port, 'auto', true), await through(plain.port, 'auto', false)]).toEqual(['h2', '1.1', '1.1']);
  // A server that speaks HTTP/2 only is not spoken to in HTTP/1.1.
  expect([await through(old.port, 'http1', true), await through(modern.port, 'http1', true)]).toEqual(['1.1', 503]);
});

test('a refused stream is retried for POST, too', async () => {
  let n = 0;
  // undici itself tries a refused stream once more; the mesh's own retry comes after that.
  const server = await http2((stream, authority) => (++n <= 2 ? stream.close(7) : answer(stream, authority)));
  const made = mesh({ ports: [server.port], cluster: { protocol: 'http2' }, retryPolicy: retryPolicy(['refused-stream']) });
  const { statusCode, body } = await made.client.request('http://payments/', { method: 'POST', body: 'again' });
  expect([statusCode, await body.text()]).toEqual([200, 'again']);
  expect(made.ended[0]!.attempts).toBe(2);
});
