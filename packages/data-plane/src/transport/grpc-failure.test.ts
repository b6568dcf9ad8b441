import { createServer, type ServerHttp2Stream } from 'node:http2';
import { connect, createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { grpcFailure } from './grpc-failure.js';

// The real grpc-js against servers that misbehave: its words are what is tested.
const servers: { close(): void }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen(server: Pick<Server, 'listen' | 'address' | 'close' | 'on'>): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => {})));
  servers.push({ close: () => { for (const socket of sockets) socket.destroy(); server.close(); } });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

function http2(onStream: (stream: ServerHttp2Stream) => void): Promise<number> {
  const server = createServer();
  server.on('sessionError', () => {});
  server.on('stream', (stream) => onStream(stream.on('error', () => {})));
  return listen(server as unknown as Server);
}

async function outcome(port: number): Promise<string | undefined> {
  const channel = new grpc.Channel(`ipv4:127.0.0.1:${port}`, grpc.credentials.createInsecure(), { 'grpc.enable_retries': 0, 'grpc.use_local_subchannel_pool': 1 });
  const call = channel.createCall('/a.B/C', Date.now() + 5000, 'name', null, 0);
  const status = await new Promise<grpc.StatusObject>((resolve) => {
    call.start(new grpc.Metadata(), { onReceiveMetadata() {}, onReceiveMessage() {}, onReceiveStatus: resolve });
    call.sendMessageWithContext({ callback() {} }, Buffer.from('x'));
    call.halfClose();
    call.startRead();
  });
  channel.close();
  return grpcFailure(status)?.kind;
}

test('nobody listens, nobody speaks HTTP/2, or the connection closes before it is made: connect-failure', async () => {
  const port = await listen(createTcpServer());
  servers.pop()!.close();
  expect(await outcome(port)).toBe('connect-failure');
  expect(await outcome(await listen(createTcpServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))))).toBe('connect-failure');
  expect(await outcome(await listen(createTcpServer((socket) => socket.destroy())))).toBe('connect-failure');
});

test('REFUSED_STREAM: refused-stream', async () => {
  expect(await outcome(await http2((stream) => stream.close(7)))).toBe('refused-stream');
});

test('other resets and lost connections: reset', async () => {
  for (const code of [0, 2, 8, 11]) expect(await outcome(await http2((stream) => stream.close(code)))).toBe('reset');
  expect(await outcome(await http2((stream) => stream.session!.destroy()))).toBe('reset');
  // A proxy that resets the TCP connection once the request is through.
  const target = await http2((stream) => stream.session!.socket);
  const resetting = createTcpServer((socket) => {
    const upstream = connect(target, '127.0.0.1');
    upstream.on('error', () => {}).pipe(socket);
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      upstream.write(chunk);
      if ((bytes += chunk.length) > 100) setTimeout(() => socket.resetAndDestroy(), 20);
    });
  });
  expect(await outcome(await listen(resetting))).toBe('reset');
});

test('a status of the server is its own, whatever its words', async () => {
  const answer = (status: string, message: string) => http2((stream) => stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': status, 'grpc-message': message }, { endStream: true }));
  expect(await outcome(await answer('14', 'Connection dropped'))).toBeUndefined();
  expect(await outcome(await answer('13', 'broken'))).toBeUndefined();
  expect(await outcome(await http2((stream) => stream.respond({ ':status': 503 }, { endStream: true })))).toBeUndefined();
});

test('the peer is not the expected one: identity', () => {
  const status = (details: string) => ({ code: 14, details: `No connection established. Last error: ${details}. Resolution note: `, metadata: new grpc.Metadata() });
  for (const details of ['Error: the peer is spiffe://a/b, expected spiffe://a/c', 'Error: self-signed certificate in certificate chain', 'Error: unable to verify the first certificate', 'Error: no SVID yet']) {
    expect(grpcFailure(status(details))?.kind).toBe('identity');
  }
});
