// What Weft's own clients and servers get: everything, by name, TLS chosen per endpoint.
import { cluster } from '../cluster.js';
import { clusterLoadAssignment } from '../endpoint.js';
import type { Profile } from '../generator.js';
import { weftInboundListener } from '../inbound-listener.js';
import { clusterNames, endpointNames, inboundPorts, outboundListenerNames, outboundRouteNames, secretNames } from '../inventory.js';
import { weftInboundName } from '../name.js';
import { outboundListener } from '../outbound-listener.js';
import { routeConfiguration } from '../route.js';
import { secret } from '../secret.js';

export const weftProfile: Profile = {
  name: 'weft',
  wildcard: false,
  generate(type, name, context) {
    switch (type) {
      case 'listener':
        return weftInboundListener(context, name) ?? outboundListener(context, 'weft', name);
      case 'route':
        return routeConfiguration(context, 'weft', name);
      case 'cluster':
        return cluster(context, 'weft', name);
      case 'endpoint':
        return clusterLoadAssignment(context, 'weft', name);
      case 'secret':
        return secret(context, name);
    }
  },
  names(type, context) {
    switch (type) {
      case 'listener':
        return [...outboundListenerNames(context, 'weft'), ...inboundPorts(context, 'weft').map(({ portName, address, port }) => weftInboundName(portName, address, port))];
      case 'route':
        return outboundRouteNames(context);
      case 'cluster':
        return clusterNames(context, 'weft');
      case 'endpoint':
        return endpointNames(context, 'weft');
      case 'secret':
        return secretNames(context);
    }
  },
};
