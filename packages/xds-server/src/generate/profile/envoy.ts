// What a real Envoy gets: everything by wildcard, listeners on loopback.
import { cluster } from '../cluster.js';
import { clusterLoadAssignment } from '../endpoint.js';
import { envoyListener, envoyListenerName, envoyPortNumbers, envoyRouteConfiguration, httpPortNumbers } from '../envoy-listener.js';
import type { Profile } from '../generator.js';
import { clusterNames, endpointNames, secretNames } from '../inventory.js';
import { secret } from '../secret.js';

export const envoyProfile: Profile = {
  name: 'envoy',
  wildcard: true,
  generate(type, name, context) {
    switch (type) {
      case 'listener':
        return envoyListener(context, name);
      case 'route':
        return envoyRouteConfiguration(context, name);
      case 'cluster':
        return cluster(context, 'envoy', name);
      case 'endpoint':
        return clusterLoadAssignment(context, 'envoy', name);
      case 'secret':
        return secret(context, name);
    }
  },
  names(type, context) {
    switch (type) {
      case 'listener':
        return envoyPortNumbers(context).map(envoyListenerName);
      case 'route':
        return httpPortNumbers(context).map(String);
      case 'cluster':
        return clusterNames(context, 'envoy');
      case 'endpoint':
        return endpointNames(context, 'envoy');
      case 'secret':
        return secretNames(context);
    }
  },
};
