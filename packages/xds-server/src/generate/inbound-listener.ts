// Listeners of servers: mTLS mode, authorization, and one route that hands every request to the application.
import { packAny } from '@weft/xds-api';
import {
  HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert, HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes, HttpConnectionManagerSchema, TcpProxySchema,
} from '@weft/xds-api/http';
import { ListenerSchema, type FilterChainSchema } from '@weft/xds-api/listener';
import { DownstreamTlsContextSchema } from '@weft/xds-api/tls';
import { corsFilter } from './cors.js';
import type { GenerateContext, GeneratedResource, ProfileName } from './generator.js';
import { corsRoutes, everyRequest } from './inbound-routes.js';
import { inboundWorkload, type InboundWorkload } from './inbound-workload.js';
import { duration, encode, extension, socketAddress, type Init } from './message.js';
import { bracketed, parseGrpcInboundName, parseWeftInboundName, type InboundName } from './name.js';
import { routerFilter, upgradeConfigs } from './outbound-listener.js';
import type { RbacScope } from './rbac-condition.js';
import { rbacFilters } from './rbac.js';
import { identityFromProvider } from './tls-context.js';
import { serviceMetadata, workloadIdentity } from './workload-metadata.js';

type FilterChainInit = Init<typeof FilterChainSchema>;
type HttpConnectionManagerInit = Init<typeof HttpConnectionManagerSchema>;

/** `weft/inbound/PORTNAME/IP:PORT`. */
export function weftInboundListener(context: GenerateContext, name: string): GeneratedResource | undefined {
  const inbound = parseWeftInboundName(name);
  const workload = inbound && inboundWorkload(context, inbound);
  if (inbound === undefined || workload === undefined) return undefined;
  if (workload.bytes) return bytesListener(context, name, inbound, workload);
  const http: HttpConnectionManagerInit = {
    ...connectionManager(context, 'weft', inbound, workload),
    statPrefix: `inbound_${bracketed(inbound.address)}_${inbound.port}`,
    normalizePath: true,
    mergeSlashes: true,
    pathWithEscapedSlashesAction: EscapedSlashes.KEEP_UNCHANGED,
    streamIdleTimeout: duration(0),
    forwardClientCertDetails: ForwardClientCert.SANITIZE_SET,
    upgradeConfigs,
    setCurrentClientCertDetails: { subject: true, dns: true, uri: true },
  };
  const tls: FilterChainInit = { ...chain('tls', http), filterChainMatch: { transportProtocol: 'tls' }, transportSocket: mutualTls(['h2', 'http/1.1']) };
  const plain: FilterChainInit = { ...chain('plaintext', http), filterChainMatch: { transportProtocol: 'raw_buffer' } };
  return serverListener(name, inbound, workload, { tls, plain });
}

/** A port whose connections are judged and secured, and whose bytes are the application's. */
function bytesListener(context: GenerateContext, name: string, inbound: InboundName, workload: InboundWorkload): GeneratedResource {
  const { model } = context;
  const scope = { ...rbacScope(context, 'weft', inbound, workload), bytes: true };
  const cluster = `inbound|${workload.declaredPort}||`;
  const filters = [
    ...rbacFilters(scope, model.authorizations(workload), (reason) => context.warn(reason)),
    // The cluster is a word for the application. It may be silent for as long as it likes.
    extension('envoy.filters.network.tcp_proxy', TcpProxySchema, { statPrefix: cluster, clusterSpecifier: { case: 'cluster', value: cluster }, idleTimeout: duration(0) }),
  ];
  const tls: FilterChainInit = { name: 'tls', filters, filterChainMatch: { transportProtocol: 'tls' }, transportSocket: mutualTls(['istio']) };
  const plain: FilterChainInit = { name: 'plaintext', filters, filterChainMatch: { transportProtocol: 'raw_buffer' } };
  return serverListener(name, inbound, workload, { tls, plain });
}

function serverListener(name: string, inbound: InboundName, workload: InboundWorkload, { tls, plain }: { tls: FilterChainInit; plain: FilterChainInit }): GeneratedResource {
  const chains = { strict: [tls], permissive: [tls, plain], disable: [plain] };
  return encode(ListenerSchema, {
    name,
    address: socketAddress(inbound.address, inbound.port),
    filterChains: chains[workload.mtls],
    metadata: { filterMetadata: { istio: { services: workload.services.map(serviceMetadata), workload: workloadIdentity(workload) } } },
  });
}

function rbacScope({ model }: GenerateContext, profile: ProfileName, inbound: InboundName, { declaredPort }: InboundWorkload): RbacScope {
  return {
    profile,
    trustDomain: model.settings.trustDomain,
    bytes: false,
    // The bound port stands for the declared one. A policy that happens to name the ephemeral number means another port: 0 matches none.
    localPort: (port: number) => (port === declaredPort ? inbound.port : port === inbound.port ? 0 : port),
  };
}

/**
 * For xDS-enabled gRPC servers. Byte-stable and minimal: they drain every connection on any difference. One chain without a
 * match, because grpc-js-xds never matches one whose transport protocol is empty.
 */
export function grpcInboundListener(context: GenerateContext, name: string): GeneratedResource | undefined {
  const inbound = parseGrpcInboundName(name);
  const workload = inbound && inboundWorkload(context, inbound);
  if (inbound === undefined || workload === undefined) return undefined;
  const { hasIdentity } = context.node;
  const mode = workload.mtls;
  if (mode === 'strict' && !hasIdentity) {
    context.warn(`${name}: withheld: mTLS is STRICT, and the bootstrap of this gRPC server declares no certificate provider \`default\``);
    return undefined;
  }
  if (mode === 'permissive') {
    // The mesh's clients use mTLS towards every workload with an identity, and a gRPC server cannot tell the two apart on one port.
    context.warn(`${name}: PERMISSIVE: gRPC servers cannot take TLS and plain text on one port: ${hasIdentity ? 'only mTLS is accepted' : 'only plain text, for want of a certificate provider `default`'}`);
  }
  const http: HttpConnectionManagerInit = { ...connectionManager(context, 'grpc', inbound, workload), statPrefix: 'inbound' };
  const transportSocket = mode !== 'disable' && hasIdentity ? { transportSocket: mutualTls([]) } : {};
  return encode(ListenerSchema, { name, address: socketAddress(inbound.address, inbound.port), filterChains: [{ ...chain('inbound', http), ...transportSocket }] });
}

function connectionManager(context: GenerateContext, profile: ProfileName, inbound: InboundName, workload: InboundWorkload): HttpConnectionManagerInit {
  const { model } = context;
  const { declaredPort } = workload;
  const scope = rbacScope(context, profile, inbound, workload);
  const routeName = `inbound|http|${declaredPort}`;
  const cors = profile === 'weft' ? corsRoutes(context, workload) : undefined;
  return {
    routeSpecifier: {
      case: 'routeConfig',
      value: {
        name: routeName,
        virtualHosts: [
          {
            name: routeName,
            domains: ['*'],
            routes: cors ?? [everyRequest],
          },
        ],
      },
    },
    httpFilters: [...rbacFilters(scope, model.authorizations(workload), (reason) => context.warn(reason)), ...(cors ? [corsFilter()] : []), routerFilter()],
  };
}

function chain(name: string, http: HttpConnectionManagerInit): FilterChainInit {
  return { name, filters: [{ name: 'envoy.filters.network.http_connection_manager', configType: { case: 'typedConfig', value: packAny(HttpConnectionManagerSchema, http) } }] };
}

/** Who the client is decides RBAC, not a list of names here: gRPC servers refuse subject names in this place. */
function mutualTls(alpnProtocols: string[]) {
  return extension('envoy.transport_sockets.tls', DownstreamTlsContextSchema, {
    commonTlsContext: { ...identityFromProvider(), alpnProtocols },
    requireClientCertificate: true,
  });
}
