// intruder: has an identity of the mesh, and no policy that lets it call payments. Prints what each attempt got.
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { createMesh } from '@weft/client';

const mesh = createMesh();
const { payments } = grpc.loadPackageDefinition(protoLoader.loadSync(new URL('payments.proto', import.meta.url).pathname));
const client = new payments.Payments('payments:50051', grpc.credentials.createInsecure(), mesh.grpc());

const http = await mesh.fetch('http://payments:8080/fees').then((answer) => answer.status, (error) => error.message);
const rpc = await new Promise((resolve) => client.Charge({ order: 'stolen' }, (error) => resolve(error ? error.code : 0)));
console.log(JSON.stringify({ http, grpc: rpc }));
await mesh.close();
process.exit(0);
