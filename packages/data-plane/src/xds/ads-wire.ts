// What needs the descriptors of the discovery protocol; loaded with the first connection.
import { makeGenericClientConstructor } from '@grpc/grpc-js';
import { serviceDefinition, type MethodDefinition } from '@weft/xds-api';
import { AggregatedDiscoveryService, type DeltaDiscoveryRequest, type DeltaDiscoveryResponse, type DiscoveryRequest, type DiscoveryResponse } from '@weft/xds-api/discovery';
import type { NodeConfig } from '../bootstrap/bootstrap.js';
import { nodeMessage } from '../bootstrap/node.js';
import { DeltaProtocol } from './delta-protocol.js';
import type { AdsProtocol, StreamProtocol } from './protocol.js';
import { SotwProtocol } from './sotw-protocol.js';

const definition = serviceDefinition(AggregatedDiscoveryService);

export const methods: { delta: MethodDefinition<DeltaDiscoveryRequest, DeltaDiscoveryResponse>; sotw: MethodDefinition<DiscoveryRequest, DiscoveryResponse> } = { delta: definition.deltaAggregatedResources, sotw: definition.streamAggregatedResources };

export const AdsGrpcClient = makeGenericClientConstructor(definition as never, AggregatedDiscoveryService.typeName);

export function streamProtocol(kind: AdsProtocol, node: NodeConfig): StreamProtocol {
  return kind === 'delta' ? new DeltaProtocol(nodeMessage(node)) : new SotwProtocol(nodeMessage(node));
}
