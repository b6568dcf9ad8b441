// The composition root: every part of the engine is made here, once.
import { CaSource, systemClock, TlsContexts } from '@weft/spiffe';
import { loadBootstrap } from './bootstrap/load-bootstrap.js';
import type { Bootstrap, Environment } from './bootstrap/bootstrap.js';
import { MeshError } from './errors.js';
import { breakerFilters } from './filter/concurrency/breaker-options.js';
import type { FilterContext } from './filter/http-filter.js';
import { controlPlaneCredentials, identitySource } from './bootstrap/identity.js';
import { inboundListenerName, InboundListeners } from './inbound/inbound-listeners.js';
import { LoadRecorder } from './inbound/load-recorder.js';
import { addressText } from './inbound/peer-identity.js';
import { followLoadReports } from './transport/load-report-stream.js';
import { ClusterCaller } from './outbound/cluster-caller.js';
import { Engine } from './outbound/engine.js';
import { MeshNames } from './outbound/mesh-names.js';
import type { OutboundEngine } from './outbound/outbound-engine.js';
import { DeferredDecoders } from './resource/deferred-decoders.js';
import { endpointPolicy, type EndpointPolicy } from './resource/endpoint-policy.js';
import type { SecretConfig } from './resource/secret-config.js';
import type { Runtime } from './runtime.js';
import type { RuntimeOptions } from './runtime-options.js';
import { OutboundListeners } from './snapshot/outbound-listeners.js';
import { accessLogSink } from './telemetry/access-log.js';
import { IstioTelemetry } from './telemetry/istio-telemetry.js';
import { defaultLogger } from './telemetry/logger.js';
import { principalOf } from './telemetry/own-principal.js';
import { metricsServerOf } from './telemetry/metrics-server.js';
import { bridgeToRegistry } from './telemetry/prometheus.js';
import { Stats } from './telemetry/stats.js';
import { Tracing } from './telemetry/tracing.js';
import { GrpcTransport } from './transport/grpc-transport.js';
import { TransportProber } from './transport/health-prober.js';
import { HttpTransport } from './transport/http-transport.js';
import { ClusterManager } from './upstream/cluster-manager.js';
import { DnsCaches } from './upstream/dns/dns-cache.js';
import { forwardProxyGuard } from './upstream/dns/forward-proxy-guard.js';
import { systemResolver } from './upstream/dns/resolver.js';
import { AdsClient } from './xds/ads-client.js';
import type { ResourceType } from './xds/resource-type.js';

/**
 * Makes a runtime of its own; applications share one (`acquireRuntime`).
 * @throws {MeshError} WEFT_BOOTSTRAP_INVALID where it is not said how to join, or wrongly.
 */
export function createRuntime(options: RuntimeOptions = {}, env: Environment = process.env): Runtime {
  const { clock = systemClock, logger = defaultLogger(env['WEFT_LOG']) } = options;
  const random = Math.random;
  const bootstrap = loadBootstrap(options, env);
  for (const warning of bootstrap.warnings) logger.warn({ source: bootstrap.source }, `bootstrap: ${warning}`);
  const [server] = bootstrap.servers;
  const policy = endpointPolicy({ allowLoopback: options.allowLoopbackEndpoints ?? server.loopback });
  const guard = forwardProxyGuardOf(options.forwardProxyAllow);
  const decoders = new DeferredDecoders({ filters: options.filters ?? [], loadBalancers: options.loadBalancers ?? [], certificateProviders: bootstrap.certificateProviders, policy });
  const { types } = decoders;

  const identity = bootstrap.identity && identitySource(bootstrap.identity, clock, logger);
  const tls = identity && new TlsContexts(identity, { clock });
  const xds = new AdsClient({
    target: {
      address: server.address,
      target: server.target,
      // While the connection is made: no resource can come before it.
      credentials: async (signal) => (await Promise.all([controlPlaneCredentials(server, tls, signal), decoders.load()]))[0],
    },
    node: bootstrap.node,
    clock,
    logger,
    random,
    ignoreResourceDeletion: server.ignoreResourceDeletion,
    ...(options.maxBackoffMs !== undefined && { maxBackoffMs: options.maxBackoffMs }),
  });
  // A control plane ends a stream with its SVID; moving before that leaves no gap.
  const unfollowIdentity = server.credentials.kind === 'identity' ? identity?.subscribe(() => xds.reconnect()) : undefined;
  const unfollowDelay = server.credentials.kind === 'identity' ? identity?.onDelay?.((reason) => xds.delayed(reason)) : undefined;
  if (identity instanceof CaSource) followAuthorities(xds, types.secret, identity, logger);

  const stats = new Stats();
  const { namespace, name } = bootstrap.workload;
  const workload = { name, namespace, canonicalService: name, canonicalRevision: 'latest', cluster: 'Kubernetes' };
  const telemetry = new IstioTelemetry({
    stats,
    workload,
    principal: principalOf(identity),
    accessLog: accessLogSink(options.accessLog, (error) => logger.error({ err: error }, 'the access log cannot be written')),
    tracing: new Tracing(() => workload),
    nodeId: bootstrap.node.id,
  });
  if (options.registry) bridgeToRegistry(stats, options.registry);
  const metricsServer = metricsServerOf(env['WEFT_METRICS_PORT'], stats, logger);

  const prober = new TransportProber({ tls });
  const dnsCaches = new DnsCaches({ clock, random, logger, lookup: systemResolver, guard });
  const clusters = new ClusterManager({ xds, clusterType: types.cluster, endpointType: types.endpoints, clock, random, logger, loadBalancers: decoders.loadBalancers, prober, policy, dnsCaches, stats, ownCluster: bootstrap.localClusterName === undefined ? undefined : { name: bootstrap.localClusterName, locality: bootstrap.node.locality },
    loadReports: (host, periodMs, onReport) => (host.cluster.config.protocol === 'http2' ? followLoadReports(host, periodMs, { transport: grpcTransport, clock, onReport }) : { close: () => undefined }),
  });
  // Hosts keep their pools and channels, so these share theirs with the application's requests.
  const httpTransport = new HttpTransport({ tls });
  const grpcTransport = new GrpcTransport({ tls });
  const caller = new ClusterCaller({ clusters, http: httpTransport, grpc: grpcTransport, clock });
  const filterContext: FilterContext = { random, now: () => clock.now(), setTimeout: (run, ms) => clock.setTimeout(run, ms), stats, clusters: caller, dnsCaches, localCluster: bootstrap.node.cluster };
  const listeners = new OutboundListeners({
    xds,
    clusters,
    types: { listener: types.clientListener, routeConfiguration: types.routeConfiguration },
    filterContext,
    ownFilters: () => breakerFilters(options.breakers ?? {}, (typeUrl) => decoders.filter(typeUrl)),
    clock,
    random,
    ...(options.maxNames !== undefined && { maxNames: options.maxNames }),
  });
  const sourceAddress = String(bootstrap.node.metadata['INSTANCE_IPS'] ?? '').split(',')[0];
  const engine = new Engine({ listeners, telemetry, clock, random, names: new MeshNames(bootstrap.names), ...(options.retries && { retries: options.retries }), ...(sourceAddress && { sourceAddress }) });
  const load = new LoadRecorder({ audience: options.loadReports ?? 'mesh' });
  const inbound = new InboundListeners({
    load,
    xds,
    type: types.serverListener,
    routeType: types.routeConfiguration,
    filterContext,
    telemetry,
    tls,
    logger,
    clock,
    listenerName: serverListenerName(bootstrap.serverListenerTemplate),
    ...(bootstrap.serverListenerTemplate === undefined && { absentHint: absentHint(bootstrap) }),
  });

  let closed: Promise<void> | undefined;
  return {
    bootstrap, clock, logger, identity, tls, xds, inbound, telemetry, load, stats,
    outbound: options.outboundTrafficPolicy === 'REGISTRY_ONLY' ? registryOnly(engine) : engine,
    async ready(signal) {
      await identity?.ready(signal).catch((error: unknown) => {
        throw new MeshError('WEFT_IDENTITY_UNAVAILABLE', error instanceof Error ? error.message : String(error), { cause: error });
      });
      await xds.ready(signal);
    },
    close() {
      closed ??= (async () => {
        inbound.close();
        // The subscriptions that end here are how ports are deregistered: that must still reach the control plane.
        await xds.flush();
        listeners.close();
        clusters.close();
        dnsCaches.close();
        grpcTransport.close();
        await httpTransport.close();
        await prober.close();
        unfollowIdentity?.();
        unfollowDelay?.();
        xds.close();
        identity?.close();
        if (identity instanceof CaSource) await identity.saved();
        await metricsServer.close();
      })();
      return closed;
    },
  };
}

function forwardProxyGuardOf(allow: readonly string[] | undefined): EndpointPolicy {
  try {
    return forwardProxyGuard(allow);
  } catch (error) {
    throw new MeshError('WEFT_BOOTSTRAP_INVALID', (error as Error).message, { cause: error });
  }
}

/** The authority's roots change by its operator's hand: followed, so that both old and new are believed in time. */
function followAuthorities(xds: AdsClient, type: ResourceType<SecretConfig>, source: CaSource, logger: Runtime['logger']): void {
  xds.watch(type, 'ROOTCA', {
    onResource: ({ trustedCaPem }) => source.setAuthorities([trustedCaPem]),
    onAbsent: () => logger.debug({}, 'the control plane publishes no ROOTCA; the roots of the last certificate stay'),
    onError: () => undefined,
  });
}

function registryOnly(engine: OutboundEngine): OutboundEngine {
  return {
    lookup: (scheme, authority) => engine.lookup(scheme, authority),
    lookupTcp: (authority, defaultPort) => engine.lookupTcp(authority, defaultPort),
    connectTcp: (snapshot, connectOptions) => engine.connectTcp(snapshot, connectOptions),
    start: (snapshot, head, downstream, streamOptions) => engine.start(snapshot, head, downstream, streamOptions),
    mayPassThrough: () => false,
  };
}

function absentHint({ node, workload: { namespace, name } }: Bootstrap): string {
  if (node.metadata['AUTO_REGISTER_GROUP'] === undefined) return 'WEFT_WORKLOAD must name the WorkloadGroup that this process belongs to';
  return `a server needs the WorkloadGroup ${namespace}/${name} that WEFT_WORKLOAD names`;
}

function serverListenerName(template: string | undefined): typeof inboundListenerName {
  if (template === undefined) return inboundListenerName;
  return ({ host, port }) => {
    const address = addressText(host, port);
    return template.replaceAll('%s', () => (template.startsWith('xdstp:') ? encodeURIComponent(address) : address));
  };
}
