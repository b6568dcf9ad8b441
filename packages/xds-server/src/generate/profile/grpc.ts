// The intersection of what gRPC's implementations accept (grpc-xds.md 2.7). Proxyless clients and servers, State of the World.
import { cluster } from '../cluster.js';
import { clusterLoadAssignment } from '../endpoint.js';
import type { Profile } from '../generator.js';
import { grpcInboundListener } from '../inbound-listener.js';
import { clusterNames, endpointNames, inboundPorts, outboundListenerNames, outboundRouteNames } from '../inventory.js';
import { grpcInboundName } from '../name.js';
import { outboundListener } from '../outbound-listener.js';
import { routeConfiguration } from '../route.js';

export const grpcProfile: Profile = {
  name: 'grpc',
  wildcard: false,
  generate(type, name, context) {
    switch (type) {
      case 'listener':
        return outboundListener(context, 'grpc', name) ?? grpcInboundListener(context, name);
      case 'route':
        return routeConfiguration(context, 'grpc', name);
      case 'cluster':
        return cluster(context, 'grpc', name);
      case 'endpoint':
        return clusterLoadAssignment(context, 'grpc', name);
      case 'secret':
        // Certificates come from the providers of the bootstrap.
        return undefined;
    }
  },
  names(type, context) {
    switch (type) {
      case 'listener':
        return [...outboundListenerNames(context, 'grpc'), ...inboundPorts(context, 'grpc').map(({ address, port }) => grpcInboundName(address, port))];
      case 'route':
        return outboundRouteNames(context);
      case 'cluster':
        return clusterNames(context, 'grpc');
      case 'endpoint':
        return endpointNames(context, 'grpc');
      case 'secret':
        return [];
    }
  },
};
