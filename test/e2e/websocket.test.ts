// WebSockets in a real mesh, under mutual TLS and policy on both sides: undici's, Node's own and ws.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { WebSocket as UndiciWebSocket } from 'undici';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { WebSocket as Ws, WebSocketServer } from 'ws';
import { serviceYaml, strictYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

let mesh: TestMesh;
let chat: TestWorkload;
let frontend: TestWorkload;

const policy = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: chat }
spec:
  selector: { matchLabels: { app: chat } }
  rules: [{ from: [{ source: { principals: ["cluster.local/ns/default/sa/frontend"] } }], to: [{ operation: { paths: [/room/*] } }] }]
`;

beforeAll(async () => {
  mesh = await TestMesh.start({ 'chat.yaml': serviceYaml('chat'), 'frontend.yaml': serviceYaml('frontend'), 'strict.yaml': strictYaml, 'policy.yaml': policy });
  chat = await mesh.workload('chat');
  const http = createServer();
  const sockets = new WebSocketServer({ server: http });
  sockets.on('connection', (socket, request) => {
    socket.send(`welcome to ${request.url}`);
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  await chat.server.listen(http, { port: 0, host: '127.0.0.1' });
  await chat.server.ready();
  frontend = await mesh.workload('frontend');
});

afterAll(() => mesh.close());

interface Standard {
  addEventListener(type: string, fn: (event: never) => void, options?: { once: boolean }): void;
  send(data: string): void;
  close(): void;
}

async function talk(socket: Standard): Promise<unknown[]> {
  const heard: unknown[] = [];
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('error', (event) => reject((event as { error?: Error }).error ?? new Error('failed')));
    socket.addEventListener('message', ({ data }: { data: unknown }) => {
      heard.push(data);
      if (heard.length === 1) socket.send('hello');
      else socket.close();
    });
    socket.addEventListener('close', () => resolve());
  });
  return heard;
}

const heard = ['welcome to /room/1', 'hello'];

test('undici\'s and Node\'s own WebSocket', async () => {
  expect(await talk(new UndiciWebSocket('ws://chat/room/1', { dispatcher: frontend.client.dispatcher }) as unknown as Standard)).toEqual(heard);
  const undo = frontend.client.install();
  try {
    expect(await talk(new WebSocket('ws://chat/room/1') as unknown as Standard)).toEqual(heard);
  } finally {
    undo();
  }
});

test('ws, with mesh.agent; megabytes in both directions', async () => {
  const { agent } = frontend.client;
  expect(await talk(new Ws('ws://chat/room/1', { agent }) as unknown as Standard)).toEqual(heard);
  const socket = new Ws('ws://chat/room/1', { agent });
  await once(socket, 'message');
  const large = Buffer.alloc(3 * 1024 * 1024, 'x');
  socket.send(large);
  const [echo] = (await once(socket, 'message')) as [Buffer];
  expect(echo.equals(large)).toBe(true);
  socket.close();
  await once(socket, 'close');
  await vi.waitFor(() => expect(chat.server.metrics()).toMatch(/istio_response_bytes_sum\{[^}]*response_code="101"[^}]*\} \d{7}/));
});

test('policy is judged before the handshake', async () => {
  const socket = new Ws('ws://chat/admin', { agent: frontend.client.agent });
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
  expect(response.statusCode).toBe(403);
});
