// One version of a server's Listener, ready to use. Requests keep the version they started with.
import type { Clock } from '@weft/spiffe';
import { FilterChain } from '../filter/filter-chain.js';
import type { FilterContext } from '../filter/http-filter.js';
import type { FilterChainConfig, HttpFilterChainConfig, ListenerConfig, TcpFilterChainConfig } from '../resource/listener-config.js';
import type { RouteConfigurationConfig } from '../resource/route-config.js';
import { RouteTable } from '../route/route-table.js';
import type { DestinationService } from '../stream/stream-info.js';
import { Drain } from './drain.js';
import { matchFilterChain } from './filter-chain-matcher.js';
import type { ConnectionInfo } from './inbound-port.js';

export type InboundTlsMode = 'strict' | 'permissive' | 'disable' | 'unknown';

export interface FilterChainRuntime {
  readonly config: HttpFilterChainConfig;
  /** Undefined while a route configuration by reference is missing: 503. */
  readonly routes: RouteTable | undefined;
  readonly filters: FilterChain;
  readonly destination: DestinationService | undefined;
  readonly requests: Drain;
}

/** A chain whose connections carry bytes. */
export interface TcpChainRuntime {
  readonly config: TcpFilterChainConfig;
  readonly destination: DestinationService | undefined;
  readonly filters?: undefined;
}

type ChainRuntime = FilterChainRuntime | TcpChainRuntime;

export interface SnapshotOptions {
  config: ListenerConfig;
  context: FilterContext;
  clock: Clock;
  previous: InboundSnapshot | undefined;
  /** Route configurations by reference. */
  routes: ReadonlyMap<string, RouteConfigurationConfig>;
}

export class InboundSnapshot {
  readonly config: ListenerConfig;
  readonly tlsMode: InboundTlsMode;
  /** Whether it carries bytes and no requests. */
  readonly isTcp: boolean;
  readonly #chains: readonly ChainRuntime[];
  readonly #defaultChain: ChainRuntime | undefined;
  readonly #requests: Drain;
  // Matching is per connection, and requests ask once each.
  readonly #matched = new WeakMap<ConnectionInfo, { chain: ChainRuntime | undefined }>();

  /** @throws where a chain cannot be used; the listener's former version stays then. */
  constructor({ config, context, clock, previous, routes }: SnapshotOptions) {
    this.config = config;
    this.#requests = new Drain(clock);
    const build = (chain: FilterChainConfig, index: number): ChainRuntime => {
      checkUsable(chain);
      if (chain.tcp) return { config: chain, destination: config.services[0] };
      const { route, httpFilters } = chain.http;
      const routeConfig = route.kind === 'inline' ? route.config : routes.get(route.name);
      return {
        config: chain,
        routes: routeConfig && new RouteTable(routeConfig, { random: () => context.random() }),
        filters: new FilterChain(httpFilters, context, previous?.chain(chain.name, index)?.filters),
        destination: config.services[0],
        requests: this.#requests,
      };
    };
    this.#chains = config.filterChains.map(build);
    this.#defaultChain = config.defaultFilterChain && build(config.defaultFilterChain, -1);
    const all = [...this.#chains, ...(this.#defaultChain ? [this.#defaultChain] : [])];
    this.isTcp = all.every(({ config: { tcp } }) => tcp !== undefined);
    const secure = all.some(({ config: { tls } }) => tls);
    const plain = all.some(({ config: { tls } }) => !tls);
    this.tlsMode = secure ? (plain ? 'permissive' : 'strict') : plain ? 'disable' : 'unknown';
  }

  /** Undefined: the connection is refused. */
  chainFor(connection: ConnectionInfo): FilterChainRuntime | undefined {
    const chain = this.#chainFor(connection);
    return chain?.filters ? chain : undefined;
  }

  /** The same for a connection that carries bytes. */
  tcpChainFor(connection: ConnectionInfo): TcpChainRuntime | undefined {
    const chain = this.#chainFor(connection);
    return chain && !chain.filters ? chain : undefined;
  }

  #chainFor(connection: ConnectionInfo): ChainRuntime | undefined {
    let memo = this.#matched.get(connection);
    if (!memo) this.#matched.set(connection, (memo = { chain: this.#match(connection) }));
    return memo.chain;
  }

  /** The chain of this name, or at this place, whose filters a later version takes over. */
  chain(name: string, index: number): ChainRuntime | undefined {
    return index === -1 ? this.#defaultChain : (this.#chains.find((chain) => name !== '' && chain.config.name === name) ?? this.#chains[index]);
  }

  /** What TLS of this listener asks of clients. */
  get requireClientCertificate(): boolean {
    return [...this.#chains, ...(this.#defaultChain ? [this.#defaultChain] : [])].some(({ config: { tls } }) => tls?.requireClientCertificate);
  }

  /** Closes filters that no later version took over, once no request uses them any more. */
  retire(): void {
    void this.#requests.idle(retireAfterMs).then(() => {
      for (const { filters } of this.#chains) filters?.close();
      this.#defaultChain?.filters?.close();
    });
  }

  #match(connection: ConnectionInfo): ChainRuntime | undefined {
    const chain = matchFilterChain(this.#chains, connection) ?? this.#defaultChain;
    if (!chain) return undefined;
    // A chain with TLS never serves a connection without, whatever its match says; nor the other way round.
    if ((chain.config.tls !== undefined) !== connection.tls) return undefined;
    if (chain.config.tls?.requireClientCertificate && !connection.mutualTls) return undefined;
    return chain;
  }
}

const retireAfterMs = 600_000;

function checkUsable({ name, tls }: FilterChainConfig): void {
  const refuse = (what: string) => {
    throw new Error(`filter chain ${JSON.stringify(name)}: ${what} is not supported on servers`);
  };
  if (tls?.certificateFiles || tls?.trustedCaFile !== undefined || tls?.trustedCaPem !== undefined) refuse('key material other than a certificate provider');
  if (tls && tls.subjectAltNames.length > 0) refuse('match_subject_alt_names');
}
