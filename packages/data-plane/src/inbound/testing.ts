// Hand-made listeners, for tests of this package and of server adapters.
import { rbacFilter } from '../filter/http/rbac.js';
import { RbacEngine } from '../filter/rbac/engine.js';
import type { RbacConfig, RuleConfig } from '../filter/rbac/policy.js';
import type { FilterChainConfig, HttpConnectionManagerConfig, HttpFilterConfig, ListenerConfig, TcpChainConfig } from '../resource/listener-config.js';
import { noMutations, type RouteActionConfig } from '../resource/route-config.js';
import type { ResourceType } from '../xds/resource-type.js';
import type { ResourceWatcher, XdsClient } from '../xds/xds-client.js';
import type { ConnectionInfo } from './inbound-port.js';

/** An xDS client whose resources the test sets. */
export class FakeXds implements XdsClient {
  readonly #watchers = new Map<string, Set<ResourceWatcher<never>>>();
  readonly #resources = new Map<string, unknown>();

  watch<T>(_type: ResourceType<T>, name: string, watcher: ResourceWatcher<T>) {
    const watchers = this.#watchers.get(name) ?? new Set();
    this.#watchers.set(name, watchers.add(watcher as ResourceWatcher<never>));
    const resource = this.#resources.get(name) ?? this.#resources.get('*');
    if (resource !== undefined) watcher.onResource(resource as T);
    return {
      close: () => {
        watchers.delete(watcher as ResourceWatcher<never>);
        if (watchers.size === 0) this.#watchers.delete(name);
      },
    };
  }

  get watched(): string[] {
    return [...this.#watchers.keys()];
  }

  /** `*`: for every name. */
  set(name: string, resource: unknown): void {
    this.#resources.set(name, resource);
    for (const watcher of this.#to(name)) watcher.onResource(resource as never);
  }

  remove(name: string): void {
    this.#resources.delete(name);
    for (const watcher of this.#to(name)) watcher.onAbsent(new Error('removed'));
  }

  fail(name: string, error: Error): void {
    for (const watcher of this.#to(name)) watcher.onError(error);
  }

  status() {
    return { servers: [], resources: [] };
  }

  close(): void {}

  #to(name: string): ResourceWatcher<never>[] {
    return [...this.#watchers].filter(([key]) => name === '*' || key === name).flatMap(([, watchers]) => [...watchers]);
  }
}

export interface TestListener {
  mode?: 'strict' | 'permissive' | 'disable';
  proxyProtocol?: ListenerConfig['proxyProtocol'];
  /** RBAC filters in order. */
  rbac?: readonly RbacConfig[];
  filters?: readonly HttpFilterConfig[];
  action?: RouteActionConfig;
  http?: Partial<HttpConnectionManagerConfig>;
  /** Its bytes are the application's; `rbac` judges connections. */
  bytes?: boolean;
}

export function testListener({ mode = 'disable', proxyProtocol, rbac = [], filters = [], action = { kind: 'non-forwarding' }, http = {}, bytes = false }: TestListener = {}): ListenerConfig {
  const httpFilters = [...rbac.map((config, index) => ({ name: `rbac-${index}`, factory: rbacFilter, config: { rules: new RbacEngine(config), statPrefix: '', shadowStatPrefix: '' }, disabled: false }) as unknown as HttpFilterConfig), ...filters];
  const connectionManager: HttpConnectionManagerConfig = {
    statPrefix: 'inbound',
    route: {
      kind: 'inline',
      config: {
        name: 'inbound', mutations: noMutations, mostSpecificHeaderMutationsWins: false, ignorePortInHostMatching: false, maxDirectResponseBodySize: 4096, filterOverrides: new Map(),
        virtualHosts: [{
          name: 'inbound', domains: ['*'], mutations: noMutations, includeRequestAttemptCount: false, filterOverrides: new Map(),
          routes: [{ name: 'default', match: { path: { kind: 'prefix', value: '/', caseSensitive: true }, headers: [], queryParameters: [], grpc: false }, action, mutations: noMutations, filterOverrides: new Map(), metadata: {} }],
        }],
      },
    },
    httpFilters, normalizePath: true, mergeSlashes: true, escapedSlashes: 'keep', ...http,
  };
  const tcp: TcpChainConfig = {
    rbac: rbac.map((config) => ({ rules: new RbacEngine(config), shadowPrefix: '' })),
    proxy: { clusters: [{ name: 'inbound', weight: 1 }], totalWeight: 1, idleTimeoutMs: 0, maxConnectAttempts: 1, hashesSource: false },
  };
  const chain = (transportProtocol: 'raw_buffer' | 'tls'): FilterChainConfig => ({
    name: transportProtocol,
    match: { prefixRanges: [], serverNames: [], transportProtocol, applicationProtocols: [], sourceType: 'any', sourcePrefixRanges: [], sourcePorts: [] },
    ...(transportProtocol === 'tls' && { tls: { requireClientCertificate: true, identityProvider: 'default', rootProvider: 'default', subjectAltNames: [], alpn: [] } }),
    ...(bytes ? { tcp } : { http: connectionManager }),
  }) as FilterChainConfig;
  return {
    name: 'inbound',
    ...(proxyProtocol && { proxyProtocol }),
    filterChains: [...(mode !== 'disable' ? [chain('tls')] : []), ...(mode !== 'strict' ? [chain('raw_buffer')] : [])],
    services: [{ host: 'payments.shop.svc.cluster.local', name: 'payments', namespace: 'shop' }],
    workload: { name: 'payments-v1', namespace: 'shop', canonicalService: 'payments', canonicalRevision: 'v1', cluster: 'Kubernetes' },
  };
}

export const anyone: RuleConfig = { kind: 'any' };

export function denyPath(value: string, kind: 'exact' | 'prefix' = 'exact'): RbacConfig {
  return { action: 'deny', policies: [{ name: 'deny', permissions: [{ kind: 'path', matcher: { kind, value, ignoreCase: false } }], principals: [anyone] }] };
}

export function allowOnly(spiffeId: string): RbacConfig {
  return { action: 'allow', policies: [{ name: 'allow', permissions: [anyone], principals: [{ kind: 'authenticated', matcher: { kind: 'exact', value: spiffeId, ignoreCase: false } }] }] };
}

export function testConnection(over: Partial<ConnectionInfo> = {}): ConnectionInfo {
  return { remoteAddress: '10.0.0.9', remotePort: 50000, localAddress: '10.0.0.1', localPort: 8080, tls: false, mutualTls: false, requestedServerName: '', applicationProtocol: '', ...over };
}
