// Resource types that can be watched at once and decode later: no answer comes before there is a connection, and none is made
// before `load()` is done.
import { MeshError } from '../errors.js';
import type { HttpFilterFactory } from '../filter/http-filter.js';
import type { LoadBalancerFactory } from '../load-balancing/load-balancer.js';
import type { ResourceType } from '../xds/resource-type.js';
import type { DecoderOptions, Decoders } from './decoders.js';

type Types = Decoders['types'];

export class DeferredDecoders {
  readonly types: Types = {
    clientListener: this.#type('clientListener', 'Listener', 'envoy.config.listener.v3.Listener', true),
    serverListener: this.#type('serverListener', 'Listener', 'envoy.config.listener.v3.Listener', true),
    routeConfiguration: this.#type('routeConfiguration', 'RouteConfiguration', 'envoy.config.route.v3.RouteConfiguration', false),
    cluster: this.#type('cluster', 'Cluster', 'envoy.config.cluster.v3.Cluster', true),
    endpoints: this.#type('endpoints', 'ClusterLoadAssignment', 'envoy.config.endpoint.v3.ClusterLoadAssignment', false),
    secret: this.#type('secret', 'Secret', 'envoy.extensions.transport_sockets.tls.v3.Secret', false),
  };
  /** Filled by `load()`; built-in ones first. */
  readonly loadBalancers: LoadBalancerFactory[] = [];
  readonly #options: DecoderOptions;
  #decoders: Decoders | undefined;
  #loading: Promise<void> | undefined;

  constructor(options: DecoderOptions) {
    this.#options = options;
  }

  /** By a type it reads; undefined before `load()`, too. */
  filter(typeUrl: string): HttpFilterFactory | undefined {
    return this.#decoders?.filters.get(typeUrl);
  }

  /** Rejects with WEFT_BOOTSTRAP_INVALID where the application's own extensions do not fit beside the built-in ones. */
  load(): Promise<void> {
    return (this.#loading ??= this.#load());
  }

  async #load(): Promise<void> {
    const { makeDecoders } = await import('./decoders.js');
    try {
      this.#decoders = makeDecoders(this.#options);
    } catch (error) {
      throw new MeshError('WEFT_BOOTSTRAP_INVALID', (error as Error).message, { cause: error });
    }
    this.loadBalancers.push(...this.#decoders.loadBalancers);
  }

  #type<K extends keyof Types>(key: K, name: string, message: string, fullState: boolean): Types[K] {
    const type: ResourceType<unknown> = {
      typeUrl: `type.googleapis.com/${message}`,
      name,
      fullState,
      decode: (value) => {
        if (!this.#decoders) throw new Error('decoders are not loaded yet');
        return this.#decoders.types[key].decode(value);
      },
    };
    return type as Types[K];
  }
}
