// One route entry with everything it inherits from its virtual host and its route configuration, ready to use.
import type {
  ForwardActionConfig, HeaderMutationsConfig, InternalRedirectConfig, RetryPolicyConfig, RouteActionConfig, RouteConfigurationConfig, RouteEntryConfig, VirtualHostConfig, WeightedClusterConfig,
} from '../resource/route-config.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { RequestHead } from '../stream/request-head.js';
import { plainRouteInfo, type RouteFilterInfo } from '../filter/route-filter-info.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { WeightedClusters } from './cluster-specifier.js';
import { compileFormatter } from './formatter.js';
import { compileHeaderMutation, type HeaderMutation } from './header-mutation.js';
import { compileMirror, type Mirror } from './mirror.js';
import { compileRedirect } from './redirect.js';
import { compileRewrite, type HeadRewrite } from './rewrite.js';
import { compileRequestHash, type RequestHash } from './request-hash.js';
import { firstRequestHeader } from './request-header.js';

/** What one request does. Shared by all requests on the same route (and weighted cluster), except where a header names the cluster. */
export interface SelectedRoute {
  readonly virtualHost: VirtualHostConfig;
  readonly entry: RouteEntryConfig;
  readonly action: RouteActionConfig;
  /** Of `route` actions: the weighted choice is already made. Undefined where a header should name it and does not. */
  readonly cluster: string | undefined;
  readonly weightedCluster: WeightedClusterConfig | undefined;
  /** Subset selection: the route's, with the weighted cluster's keys over it. */
  readonly metadataMatch: Readonly<Record<string, unknown>> | undefined;
  /** The route's, else its virtual host's. */
  readonly retryPolicy: RetryPolicyConfig | undefined;
  readonly includeAttemptCount: boolean;
  readonly includeAttemptCountInResponse: boolean;
  readonly includeIsTimeoutRetry: boolean;
  /** The route's, else its virtual host's. */
  readonly hedgeOnPerTryTimeout: boolean;
  readonly bufferLimitBytes: number | undefined;
  readonly requestMutations: readonly HeaderMutation[];
  readonly responseMutations: readonly HeaderMutation[];
  readonly rewrite: HeadRewrite | undefined;
  /** Of redirects and direct responses. */
  readonly reply: ((head: RequestHead, info: StreamInfo) => LocalReply) | undefined;
  readonly mirrors: readonly Mirror[];
  readonly internalRedirect: InternalRedirectConfig | undefined;
  /** The hash of ring hash and maglev; undefined where the route has no hash policy. */
  readonly requestHash: RequestHash | undefined;
  /** The override for a filter, the most specific one: weighted cluster, route, virtual host, route configuration. The function is the same object for all requests. */
  readonly filterOverrides: (filterName: string) => unknown;
  readonly filterInfo: RouteFilterInfo;
}

export interface CompiledRoute {
  resolve(head: RequestHead, info: StreamInfo): SelectedRoute;
}

interface Source {
  config: RouteConfigurationConfig;
  virtualHost: VirtualHostConfig;
  entry: RouteEntryConfig;
  random: () => number;
}

/** Throws where a formatter, a rewrite or the weights are invalid. */
export function compileRouteEntry(source: Source): CompiledRoute {
  const { action } = source.entry;
  if (action.kind !== 'route') {
    const route = selected(source, undefined, undefined);
    return { resolve: () => route };
  }
  const { cluster } = action;
  switch (cluster.kind) {
    case 'cluster': {
      const route = selected(source, cluster.name, undefined);
      return { resolve: () => route };
    }
    case 'header': {
      const route = selected(source, undefined, undefined);
      const name = cluster.header.toLowerCase();
      return { resolve: (head) => ({ ...route, cluster: firstRequestHeader(head, name) || undefined }) };
    }
    case 'weighted': {
      const hash = cluster.useHash ? compileRequestHash(action.hashPolicies) : undefined;
      const choice = new WeightedClusters(cluster, source.random, hash);
      const routes = cluster.clusters.map((weighted) => {
        const route = selected(source, weighted.name || undefined, weighted);
        const { clusterHeader } = weighted;
        return (head: RequestHead): SelectedRoute => (clusterHeader === undefined ? route : { ...route, cluster: firstRequestHeader(head, clusterHeader) || undefined });
      });
      return { resolve: (head, info) => routes[choice.choose(head, info)]!(head) };
    }
  }
}

function selected({ config, virtualHost, entry }: Source, cluster: string | undefined, weightedCluster: WeightedClusterConfig | undefined): SelectedRoute {
  const { action } = entry;
  const forward: ForwardActionConfig | undefined = action.kind === 'route' ? action : undefined;
  // The one applied last wins an overwrite. A weighted cluster's come first, whoever wins (Envoy).
  const common = [entry.mutations, virtualHost.mutations, config.mutations];
  if (config.mostSpecificHeaderMutationsWins) common.reverse();
  const levels = weightedCluster ? [weightedCluster.mutations, ...common] : common;
  const overrides = [weightedCluster?.filterOverrides, entry.filterOverrides, virtualHost.filterOverrides, config.filterOverrides].filter((level) => level !== undefined && level.size > 0);
  const rateLimits = { route: forward?.rateLimits ?? [], virtualHost: virtualHost.rateLimits ?? [], includeVirtualHost: forward?.includeVirtualHostRateLimits ?? false };
  const forwards = action.kind === 'route' || action.kind === 'non-forwarding';
  const plain = forwards && overrides.length === 0 && rateLimits.route.length === 0 && rateLimits.virtualHost.length === 0 && Object.keys(entry.metadata).length === 0;
  return Object.freeze({
    virtualHost,
    entry,
    action,
    cluster,
    weightedCluster,
    metadataMatch: forward?.metadataMatch && weightedCluster?.metadataMatch ? { ...forward.metadataMatch, ...weightedCluster.metadataMatch } : (weightedCluster?.metadataMatch ?? forward?.metadataMatch),
    retryPolicy: forward?.retryPolicy ?? virtualHost.retryPolicy,
    includeAttemptCount: virtualHost.includeRequestAttemptCount,
    includeAttemptCountInResponse: virtualHost.includeAttemptCountInResponse ?? false,
    includeIsTimeoutRetry: virtualHost.includeIsTimeoutRetryHeader ?? false,
    hedgeOnPerTryTimeout: (forward?.hedgePolicy ?? virtualHost.hedgePolicy)?.onPerTryTimeout ?? false,
    bufferLimitBytes: entry.bodyBufferLimitBytes ?? virtualHost.bodyBufferLimitBytes ?? entry.bufferLimitBytes ?? virtualHost.bufferLimitBytes,
    requestMutations: mutations(levels, 'request'),
    responseMutations: mutations(levels, 'response'),
    rewrite: forward && compileRewrite(entry.match.path, weightedCluster?.hostRewrite === undefined ? forward : { ...forward, hostRewrite: { kind: 'literal', value: weightedCluster.hostRewrite } }),
    mirrors: forward ? forward.mirrors.map(compileMirror) : noMirrors,
    internalRedirect: forward?.internalRedirect,
    reply: compileReply(entry),
    requestHash: forward && compileRequestHash(forward.hashPolicies),
    filterOverrides: plain ? noOverrides : (name: string) => overrides.find((level) => level?.has(name))?.get(name),
    filterInfo: plain ? plainRouteInfo : { overrides: (name: string) => overrides.flatMap((level) => (level?.has(name) ? [level.get(name)] : [])).reverse(), metadata: entry.metadata, rateLimits, forwards },
  });
}

// One object for all routes of which filters need not know anything, so that filters are composed once for all of them.
const noOverrides = (): undefined => undefined;

function mutations(levels: readonly HeaderMutationsConfig[], of: 'request' | 'response'): HeaderMutation[] {
  return levels.map((level) => compileHeaderMutation(level[of], of)).filter((mutation) => mutation !== undefined);
}

const noMirrors: readonly Mirror[] = [];

function compileReply({ action, match }: RouteEntryConfig): SelectedRoute['reply'] {
  if (action.kind === 'redirect') return compileRedirect(match.path, action);
  if (action.kind !== 'direct-response') return undefined;
  if (action.bodyFormat !== undefined) {
    const format = compileFormatter(action.bodyFormat.text, action.bodyFormat.missing);
    const { contentType } = action.bodyFormat;
    const typed = contentType !== '' && { headers: [['content-type', contentType]] as const };
    return (head, info) => ({ status: action.status, body: format(head, info, undefined), details: 'direct_response', ...typed });
  }
  const reply: LocalReply = { status: action.status, body: action.body, details: 'direct_response' };
  // Envoy's answers of these statuses say where they are, like redirects.
  const located = action.status === 201 || (action.status >= 300 && action.status < 400);
  return located ? (head) => ({ ...reply, headers: [['location', `${head.scheme}://${head.authority}${head.path}`]] }) : () => reply;
}
