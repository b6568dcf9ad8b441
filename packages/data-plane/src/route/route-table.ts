// A RouteConfiguration, compiled: from a request head to what shall happen with it. Immutable.
import { noMutations, type RouteConfigurationConfig, type RouteEntryConfig, type VirtualHostConfig } from '../resource/route-config.js';
import type { LocalReply } from '../stream/local-reply.js';
import { pathOnly, type RequestHead } from '../stream/request-head.js';
import type { ResponseHead } from '../stream/response-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { compileRouteEntry, type CompiledRoute, type SelectedRoute } from './compiled-route.js';
import type { HeaderEdits } from './header-mutation.js';
import { compileRouteMatch, type RouteMatch } from './route-match.js';
import { explainVirtualHosts, routeLabel } from './explain-routes.js';
import { compileRouteTree, type RouteTree } from './route-tree.js';
import { VirtualHostMatcher } from './virtual-host-matcher.js';

export type { SelectedRoute } from './compiled-route.js';
export { rewriteForHost } from './rewrite.js';

interface CompiledVirtualHost {
  readonly config: VirtualHostConfig;
  readonly routes: readonly { readonly match: RouteMatch; readonly route: CompiledRoute }[];
  readonly tree: RouteTree | undefined;
  /** Where the virtual host wants TLS: the redirect to it. */
  readonly toTls: CompiledRoute | undefined;
}

/** Is told how a route is found, for `weft explain`. */
export interface RouteObserver {
  /** What did not match: the matcher that said no, with what it asks for and what the request has. */
  readonly why: (line: string) => void;
  inVirtualHost(virtualHost: VirtualHostConfig): void;
}

/** Throws with the path of the field where a matcher, formatter, domain or weight is invalid. */
export class RouteTable {
  readonly name: string;
  /** Every cluster that a request may be sent or mirrored to; those named by a header are not known before. */
  readonly clusterNames: ReadonlySet<string>;
  readonly #config: RouteConfigurationConfig;
  readonly #virtualHosts: VirtualHostMatcher<CompiledVirtualHost>;

  constructor(config: RouteConfigurationConfig, options?: { random?: () => number }) {
    const random = options?.random ?? Math.random;
    this.name = config.name;
    this.#config = config;
    this.#virtualHosts = new VirtualHostMatcher({ ignorePort: config.ignorePortInHostMatching });
    config.virtualHosts.forEach((virtualHost, i) => {
      const path = `virtual_hosts[${i}]`;
      const compiled = compileVirtualHost(config, virtualHost, path, random);
      virtualHost.domains.forEach((domain, j) => at(`${path}.domains[${j}]`, () => this.#virtualHosts.add(domain, compiled)));
    });
    this.clusterNames = namesOfClusters(config);
  }

  /** `undefined`: no route (404, NR). Live requests have no observer. */
  select(head: RequestHead, info: StreamInfo, observer?: RouteObserver): SelectedRoute | undefined {
    const virtualHost = this.#virtualHosts.find(head.authority);
    if (observer) explainVirtualHosts(this.#config, head.authority, virtualHost?.config, observer.why);
    if (virtualHost === undefined) return undefined;
    observer?.inVirtualHost(virtualHost.config);
    const { routes, tree, toTls } = virtualHost;
    if (toTls && head.scheme === 'http' && (virtualHost.config.requireTls === 'all' || info.direction === 'inbound')) return toTls.resolve(head, info);
    const path = this.#config.ignorePathParameters ? withoutParameters(pathOnly(head.path)) : pathOnly(head.path);
    const places = tree?.(head, observer?.why);
    if (tree && !places) return undefined;
    const { length } = places ?? routes;
    for (let i = 0; i < length; i++) {
      const place = places ? places[i]! : i;
      const { match, route } = routes[place]!;
      if (match.matches(path, head, info)) return route.resolve(head, info);
      observer?.why(`route ${routeLabel(virtualHost.config.routes[place]!, place)}: ${match.refusal(path, head, info)}`);
    }
    return undefined;
  }
}

/** `/a;x=1/b` is matched as `/a/b`. */
function withoutParameters(path: string): string {
  return path.includes(';') ? path.replace(/;[^/]*/g, '') : path;
}

const redirectToTls: RouteEntryConfig = {
  name: '', match: { path: { kind: 'prefix', value: '', caseSensitive: true }, headers: [], queryParameters: [], grpc: false }, mutations: noMutations, filterOverrides: new Map(), metadata: {},
  action: { kind: 'redirect', status: 301, https: true, stripQuery: false },
};

function compileVirtualHost(config: RouteConfigurationConfig, virtualHost: VirtualHostConfig, path: string, random: () => number): CompiledVirtualHost {
  const { matcher, requireTls } = virtualHost;
  return {
    config: virtualHost,
    tree: matcher && at(`${path}.matcher`, () => compileRouteTree(matcher)),
    toTls: requireTls && compileRouteEntry({ config, virtualHost, entry: redirectToTls, random }),
    routes: virtualHost.routes.map((entry, i) =>
      at(`${path}.routes[${i}]`, () => ({ match: compileRouteMatch(entry.match, random), route: compileRouteEntry({ config, virtualHost, entry, random }) }))),
  };
}

function at<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function namesOfClusters(config: RouteConfigurationConfig): ReadonlySet<string> {
  const names = new Set<string>();
  const add = ({ action }: RouteEntryConfig) => {
    if (action.kind !== 'route') return;
    if (action.cluster.kind === 'cluster') names.add(action.cluster.name);
    else if (action.cluster.kind === 'weighted') for (const { name, weight } of action.cluster.clusters) if (weight > 0 && name !== '') names.add(name);
    for (const { cluster } of action.mirrors) if (cluster !== '') names.add(cluster);
  };
  for (const { routes } of config.virtualHosts) routes.forEach(add);
  return names;
}

/** Header edits of all levels, most specific first unless the configuration says otherwise. Before `rewrite`: formatters see the path as it came. */
export function applyRequestMutations(head: RequestHead, route: SelectedRoute, info: StreamInfo, edits?: HeaderEdits): void {
  for (const mutation of route.requestMutations) mutation.applyToRequest(head, info, edits);
}

/** `request` is what `%REQ()%` reads. */
export function applyResponseMutations(response: ResponseHead, route: SelectedRoute, info: StreamInfo, request: RequestHead, edits?: HeaderEdits): void {
  for (const mutation of route.responseMutations) mutation.applyToResponse(response, info, request, edits);
}

/** Path and authority as they are sent, except `host_rewrite auto` (`rewriteForHost`). Once a request. */
export function rewrite(head: RequestHead, route: SelectedRoute, info: StreamInfo): void {
  route.rewrite?.(head, info);
}

/** The answer of a `redirect` or `direct-response` route. Throws for others. */
export function redirectReply(head: RequestHead, route: SelectedRoute, info: StreamInfo): LocalReply {
  if (!route.reply) throw new TypeError(`route ${route.entry.name} neither redirects nor answers directly`);
  return route.reply(head, info);
}
