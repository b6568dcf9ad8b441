import { create, type MessageInitShape } from '@weft/xds-api/protobuf';
import { Client, credentials, Metadata, ServerCredentials } from '@grpc/grpc-js';
import { serviceDefinition } from '@weft/xds-api';
import { ClientStatusDiscoveryService, ClientStatusRequestSchema, ConfigStatus, type ClientStatusResponse } from '@weft/xds-api/status';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { clientStatusService } from './client-status.js';
import { listenGrpc, type GrpcListener } from './grpc-listener.js';
import { AdsTestClient, weftNode } from './testing.js';
import { startDiscovery, type TestServer } from './testing-server.js';

let server: TestServer;
let csds: GrpcListener;
let ads: AdsTestClient;
let client: Client;
beforeEach(async () => {
  server = await startDiscovery();
  csds = await listenGrpc('csds', '127.0.0.1', 0, ServerCredentials.createInsecure(), [clientStatusService(server.discovery)]);
  ads = new AdsTestClient(server.address);
  client = new Client(csds.address, credentials.createInsecure());
});
afterEach(async () => {
  ads.close();
  client.close();
  await Promise.all([csds.close(), server.close()]);
});

function fetchStatus(init: MessageInitShape<typeof ClientStatusRequestSchema> = {}): Promise<ClientStatusResponse> {
  const method = serviceDefinition(ClientStatusDiscoveryService).fetchClientStatus;
  return new Promise((resolve, reject) => {
    const request = create(ClientStatusRequestSchema, init) as never;
    client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, request, new Metadata(), (error, value) => (error ? reject(error) : resolve(value!)));
  });
}

it('reports what each client was sent and how it answered', async () => {
  server.set({ 'cluster/good': 'g', 'cluster/bad': 'b' });
  const stream = ads.delta(weftNode({ id: 'node-1' }));
  stream.subscribe('cluster', 'good', 'missing');
  stream.ack(await stream.next());
  stream.subscribe('cluster', 'bad');
  stream.nack(await stream.next(), 'no endpoints');
  await vi.waitFor(() => expect(server.discovery.stats.rejects.size).toBe(1));
  const { config } = await fetchStatus();
  expect(config.map(({ node }) => node?.id)).toEqual(['node-1']);
  expect(config[0]!.genericXdsConfigs.map(({ name, configStatus, errorState }) => [name, ConfigStatus[configStatus], errorState?.details])).toEqual([
    ['good', 'SYNCED', undefined], ['missing', 'NOT_SENT', undefined], ['bad', 'ERROR', 'no endpoints'],
  ]);
});

it('says that it does not filter rather than answer something else', async () => {
  await expect(fetchStatus({ nodeMatchers: [{}] })).rejects.toMatchObject({ code: 12 });
});
