// Everything that reads generated messages. Their descriptors cost some 150 ms and 40 MB when they are imported, so this module is
// loaded with the first connection to a control plane (deferred-decoders.ts), not with the package.
import { builtinFilters } from '../filter/builtin.js';
import type { HttpFilterFactory } from '../filter/http-filter.js';
import { builtinLoadBalancers } from '../load-balancing/builtin.js';
import type { LoadBalancerFactory } from '../load-balancing/load-balancer.js';
import { clusterType } from './cluster.js';
import type { EndpointPolicy } from './endpoint-policy.js';
import { endpointType } from './endpoint.js';
import { HttpFilterRegistry } from './http-filter.js';
import { listenerType } from './listener.js';
import { routeConfigurationType } from './route-configuration.js';
import { secretType } from './secret.js';
import type { CertificateProviders } from './tls.js';

export interface DecoderOptions {
  /** The application's own, beside the built-in ones. */
  readonly filters: readonly HttpFilterFactory[];
  readonly loadBalancers: readonly LoadBalancerFactory[];
  readonly certificateProviders: CertificateProviders;
  readonly policy: EndpointPolicy;
  /** Default: filters that are not for clients are refused. */
  readonly clientSide?: 'client' | 'any';
}

/** @throws {TypeError} where two filters claim a name or a type. */
export function makeDecoders({ filters: ownFilters, loadBalancers: ownLoadBalancers, certificateProviders, policy, clientSide = 'client' }: DecoderOptions) {
  const filters = new HttpFilterRegistry([...builtinFilters, ...ownFilters]);
  const loadBalancers = [...builtinLoadBalancers, ...ownLoadBalancers];
  return {
    filters,
    loadBalancers,
    types: {
      clientListener: listenerType({ filters, side: clientSide, certificateProviders }),
      serverListener: listenerType({ filters, side: 'server', certificateProviders }),
      routeConfiguration: routeConfigurationType({ filters }),
      cluster: clusterType({ loadBalancers, certificateProviders, policy }),
      endpoints: endpointType({ policy }),
      secret: secretType,
    },
  };
}

export type Decoders = ReturnType<typeof makeDecoders>;
