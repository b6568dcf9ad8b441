// ClientStatusDiscoveryService: what every client was sent and how it answered, for tools that speak xDS (grpcdebug, istioctl).
import { create } from '@weft/xds-api/protobuf';
import { status, type sendUnaryData, type ServerDuplexStream, type ServerUnaryCall, type ServiceDefinition } from '@grpc/grpc-js';
import { serviceDefinition } from '@weft/xds-api';
import { ClientStatusDiscoveryService, ClientStatusResponseSchema, ConfigStatus, type ClientStatusRequest, type ClientStatusResponse } from '@weft/xds-api/status';
import type { DiscoveryService, GrpcService } from './ads-service.js';
import { viewEntry, type SyncStatus } from './client-view.js';

const configStatus: Readonly<Record<SyncStatus, ConfigStatus>> = {
  pending: ConfigStatus.NOT_SENT,
  sent: ConfigStatus.STALE,
  acked: ConfigStatus.SYNCED,
  nacked: ConfigStatus.ERROR,
  absent: ConfigStatus.NOT_SENT,
};

/** Only for a port on loopback: it shows every client's state to whoever asks. Contents are left out. */
export function clientStatusService(discovery: DiscoveryService): GrpcService {
  const answer = (request: ClientStatusRequest): ClientStatusResponse => {
    if (request.nodeMatchers.length > 0) throw new Error('node_matchers are not supported; the answer lists all clients');
    return create(ClientStatusResponseSchema, {
      config: discovery.streams.map((stream) => ({
        node: { id: stream.node?.id ?? '', userAgentName: stream.node?.userAgent ?? '' },
        clientScope: String(stream.number),
        genericXdsConfigs: [...stream.subscriptions.values()].flatMap((subscription) =>
          [...subscription.entries.values()].map((entry) => {
            const { name, version, status: sync, reason } = viewEntry(entry);
            return { typeUrl: subscription.typeUrl, name, versionInfo: version, configStatus: configStatus[sync], ...(reason !== undefined && { errorState: { details: reason, versionInfo: entry.nack?.version ?? '' } }) };
          }),
        ),
      })),
    });
  };
  const unsupported = (error: unknown) => ({ code: status.UNIMPLEMENTED, details: error instanceof Error ? error.message : String(error) });
  return {
    definition: serviceDefinition(ClientStatusDiscoveryService) as unknown as ServiceDefinition,
    implementation: {
      fetchClientStatus: (call: ServerUnaryCall<ClientStatusRequest, ClientStatusResponse>, done: sendUnaryData<ClientStatusResponse>) => {
        try {
          done(null, answer(call.request));
        } catch (error) {
          done(unsupported(error));
        }
      },
      streamClientStatus: (call: ServerDuplexStream<ClientStatusRequest, ClientStatusResponse>) => {
        call.on('data', (request: ClientStatusRequest) => {
          try {
            call.write(answer(request));
          } catch (error) {
            call.emit('error', unsupported(error));
          }
        });
        call.on('end', () => call.end());
        call.on('error', () => undefined);
      },
    },
  };
}
