// A RouteConfiguration, compiled: from a request head to what shall happen with it. Immutable.
import type { RouteConfigurationConfig, RouteEntryConfig, VirtualHostConfig } from '../resource/route-config.js';
import type { LocalReply } from '../stream/local-reply.js';
import { pathOnly, type RequestHead } from '../stream/request-head.js';
import type { ResponseHead } from '../stream/response-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { compileRouteEntry, type CompiledRoute, type SelectedRoute } from './compiled-route.js';
import { compileRouteMatch, type RouteMatch } from './route-match.js';
import { VirtualHostMatcher } from './virtual-host-matcher.js';

export type { SelectedRoute } from './compiled-route.js';
export { rewriteForHost } from './rewrite.js';

interface CompiledVirtualHost {
  readonly routes: readonly { readonly matches: RouteMatch; readonly route: CompiledRoute }[];
}

/** Throws with the path of the field where a matcher, formatter, domain or weight is invalid. */
export class RouteTable {
  readonly name: string;
  /** Every cluster that a request may be sent or mirrored to; those named by a header are not known before. */
  readonly clusterNames: ReadonlySet<string>;
  readonly #virtualHosts: VirtualHostMatcher<CompiledVirtualHost>;

  constructor(config: RouteConfigurationConfig, options?: { random?: () => number }) {
    const random = options?.random ?? Math.random;
    this.name = config.name;
    this.#virtualHosts = new VirtualHostMatcher({ ignorePort: config.ignorePortInHostMatching });
    config.virtualHosts.forEach((virtualHost, i) => {
      const path = `virtual_hosts[${i}]`;
      const compiled = compileVirtualHost(config, virtualHost, path, random);
      virtualHost.domains.forEach((domain, j) => at(`${path}.domains[${j}]`, () => this.#virtualHosts.add(domain, compiled)));
    });
    this.clusterNames = namesOfClusters(config);
  }

  /** `undefined`: no route (404, NR). */
  select(head: RequestHead, info: StreamInfo): SelectedRoute | undefined {
    const virtualHost = this.#virtualHosts.find(head.authority);
    if (virtualHost === undefined) return undefined;
    const path = pathOnly(head.path);
    for (const { matches, route } of virtualHost.routes) if (matches(path, head, info)) return route.resolve(head);
    return undefined;
  }
}

function compileVirtualHost(config: RouteConfigurationConfig, virtualHost: VirtualHostConfig, path: string, random: () => number): CompiledVirtualHost {
  return {
    routes: virtualHost.routes.map((entry, i) =>
      at(`${path}.routes[${i}]`, () => ({ matches: compileRouteMatch(entry.match, random), route: compileRouteEntry({ config, virtualHost, entry, random }) }))),
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
    else if (action.cluster.kind === 'weighted') for (const { name, weight } of action.cluster.clusters) if (weight > 0) names.add(name);
    for (const mirror of action.mirrors) names.add(mirror.cluster);
  };
  for (const { routes } of config.virtualHosts) routes.forEach(add);
  return names;
}

/** Header edits of all levels, most specific first unless the configuration says otherwise. Before `rewrite`: formatters see the path as it came. */
export function applyRequestMutations(head: RequestHead, route: SelectedRoute, info: StreamInfo): void {
  for (const mutation of route.requestMutations) mutation.applyToRequest(head, info);
}

/** `request` is what `%REQ()%` reads. */
export function applyResponseMutations(response: ResponseHead, route: SelectedRoute, info: StreamInfo, request: RequestHead): void {
  for (const mutation of route.responseMutations) mutation.applyToResponse(response, info, request);
}

/** Path and authority as they are sent, except `host_rewrite auto` (`rewriteForHost`). Once a request. */
export function rewrite(head: RequestHead, route: SelectedRoute): void {
  route.rewrite?.(head);
}

/** The answer of a `redirect` or `direct-response` route. Throws for others. */
export function redirectReply(head: RequestHead, route: SelectedRoute): LocalReply {
  if (!route.reply) throw new TypeError(`route ${route.entry.name} neither redirects nor answers directly`);
  return route.reply(head);
}
