// A process that uses everything of the mesh once and then closes it: nothing may keep it alive.
import http, { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { createMesh } from '@weft/client';
import { createMeshServer } from '@weft/server';
import grpc from '@grpc/grpc-js';

const server = createMeshServer();
const client = createMesh({ drainTimeoutMs: 500 });
await server.listen(createHttpServer((_request, response) => response.end('own')), { port: 0, host: '127.0.0.1' });
const stream = createServer();
await server.listen(stream, { port: 0, host: '127.0.0.1', name: 'db' });
const rpc = new grpc.Server(server.grpcOptions());
await server.listen({ http: createHttpServer(), grpc: rpc }, { port: 0, host: '127.0.0.1', name: 'grpc' });
await server.ready(AbortSignal.timeout(15_000));
const undo = client.install({ http: true });
const answers = [];
answers.push(await (await client.request('http://target/')).body.text(), await (await client.fetch('http://target/')).text(), await (await fetch('http://target/')).text());
answers.push(await new Promise((resolve, reject) => http.get('http://target/', (response) => response.setEncoding('utf8').on('data', resolve)).on('error', reject)));
const bytes = { serialize: (value) => value, deserialize: (value) => value };
const rpcClient = new grpc.Client('target:50051', grpc.credentials.createInsecure(), client.grpc());
answers.push(await new Promise((resolve) => rpcClient.makeUnaryRequest('/test.Echo/Echo', bytes.serialize, bytes.deserialize, Buffer.from('{}'), (error) => resolve(error?.code ?? 'grpc'))));
// Nobody knows these: what waits for an answer must not wait for ever.
for (const url of ['http://nobody/', 'http://nobody.default/']) client.request(url).catch(() => {});
client.connect('nobody:5432').catch(() => {});
client.socket().on('error', () => {}).connect(5432, 'nobody');
http.get('http://nobody/').on('error', () => {});
rpcClient.makeUnaryRequest('/test.Echo/Echo', bytes.serialize, bytes.deserialize, Buffer.from('{}'), { deadline: Date.now() + 60_000 }, () => {});
undo();
if (process.env.CLOSE !== 'twice') await Promise.all([client.close(), server.close()]);
else await Promise.all([server.close(), client.close(), server.close(), client.close()]);
process.send({ answers });
