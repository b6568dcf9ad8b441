// Calls that are reset in the very packet that brings them: before the server has looked at them.
import { connect } from 'node:net';
import fastify from 'fastify';
import grpc from '@grpc/grpc-js';
import { denyPath } from '@weft/data-plane/testing';
import { afterEach, expect, it, vi } from 'vitest';
import { testMesh } from '../testing.js';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0).reverse()) await item.close();
});

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** HPACK: literals without index. */
const headers = (fields: Record<string, string>) =>
  Buffer.concat(Object.entries(fields).map(([name, value]) => Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)])));

const goodbyes: [string, Buffer][] = [
  ['a reset', frame(3, 0, 1, Buffer.from([0, 0, 0, 8]))], ['a reset without an error', frame(3, 0, 1, Buffer.alloc(4))],
  ['an error of the session', frame(7, 0, 0, Buffer.from([0, 0, 0, 0, 0, 0, 0, 2]))], ['nonsense', Buffer.from('nonsense nonsense')], ['nothing', Buffer.alloc(0)],
];
const protocols = ['gRPC', 'HTTP/2'];

it.each(protocols.flatMap((protocol) => goodbyes.map(([name, bytes]) => [protocol, name, bytes] as const)))('%s with %s: neither end the process nor are counted for ever', async (protocol, _name, goodbye) => {
  const { mesh, ...test } = testMesh({ listener: { rbac: [denyPath('/pkg.Echo/Denied')] } });
  open.push(test);
  const rpc = new grpc.Server(mesh.grpcOptions());
  const api = fastify({ http2: true });
  api.all('*', () => 'here');
  const { port } = await mesh.listen(protocol === 'gRPC' ? rpc : (api as never), { port: 0, host: '127.0.0.1' });
  let closed = 0;
  const paths = ['/pkg.Echo/Denied', '/pkg.Echo/Unknown'];
  for (const path of paths) {
    const call = frame(1, 4, 1, headers({ ':method': 'POST', ':scheme': 'http', ':path': path, ':authority': 'a', 'content-type': 'application/grpc', te: 'trailers' }));
    const socket = connect(port, '127.0.0.1').resume();
    socket.on('error', () => {}).on('close', () => closed++);
    socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0, Buffer.alloc(0)), call, goodbye]));
    await vi.waitFor(() => expect(socket.bytesRead).toBeGreaterThan(0));
    socket.resetAndDestroy();
  }
  await vi.waitFor(() => expect([closed, mesh.status().listeners]).toMatchObject([2, [{ activeRequests: 0, openConnections: 0 }]]));
});
