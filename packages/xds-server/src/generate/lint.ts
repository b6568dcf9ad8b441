// What makes real gRPC clients refuse (NACK) a resource, per grpc-xds.md 2.3–2.6, as a checker for tests. Works on canonical JSON.
import type { Json } from './fixture.js';
import type { ResourceType } from './generator.js';

/** Paths and reasons; empty where all of Go, Java, C-core and Node would take it. */
export function lintForGrpc(type: ResourceType, resource: Json): string[] {
  const problems: string[] = [];
  const check = (ok: boolean, reason: string) => void (ok || problems.push(reason));
  switch (type) {
    case 'listener':
      lintListener(resource, check);
      break;
    case 'route':
      lintRouteConfiguration(resource, 'client', check);
      break;
    case 'cluster':
      lintCluster(resource, check);
      break;
    case 'endpoint':
      lintAssignment(resource, check);
      break;
    case 'secret':
      problems.push('gRPC reads no secrets');
  }
  return problems;
}

type Check = (ok: boolean, reason: string) => void;

function lintListener(listener: Json, check: Check): void {
  if (listener.apiListener) {
    check(!listener.filterChains && !listener.address, 'a client listener has no address');
    lintHcm(listener.apiListener.apiListener, 'client', check);
    return;
  }
  check(/^(xds\.istio\.io\/grpc\/lds\/inbound\/|grpc\/server\?xds\.resource\.listening_address=)/.test(listener.name), 'name of a server listener');
  const { address, portValue } = listener.address.socketAddress;
  check(listener.name.endsWith(address.includes(':') ? `[${address}]:${portValue}` : `${address}:${portValue}`), 'address equals the bound address');
  check(!listener.listenerFilters && listener.useOriginalDst === undefined && !listener.trafficDirection, 'no listener_filters, use_original_dst, traffic_direction');
  for (const chain of listener.filterChains) {
    check(chain.filters.length === 1 && chain.filters[0].name !== '', 'one named network filter');
    check(chain.filterChainMatch?.transportProtocol === undefined || chain.filterChainMatch.transportProtocol === 'raw_buffer', 'transport_protocol');
    if (chain.transportSocket) {
      check(chain.transportSocket.name === 'envoy.transport_sockets.tls', 'transport_socket.name');
      const tls = chain.transportSocket.typedConfig;
      check(tls.requireClientCertificate !== false && tls.requireSni === undefined, 'require_client_certificate only when true');
      check(!tls.commonTlsContext.validationContext?.matchSubjectAltNames, 'no SANs on servers');
      lintTls(tls.commonTlsContext, true, check);
    }
    lintHcm(chain.filters[0].typedConfig, 'server', check);
  }
}

const knownFilters = ['envoy.extensions.filters.http.router.v3.Router', 'envoy.extensions.filters.http.fault.v3.HTTPFault', 'envoy.extensions.filters.http.rbac.v3.RBAC'];

function lintHcm(hcm: Json, side: 'client' | 'server', check: Check): void {
  const types = hcm.httpFilters.map((filter: Json) => String(filter.typedConfig['@type']).split('/')[1]);
  const names = hcm.httpFilters.map((filter: Json) => filter.name);
  check(names.every(Boolean) && new Set(names).size === names.length, 'filter names non-empty and unique');
  check(types.indexOf('envoy.extensions.filters.http.router.v3.Router') === types.length - 1 && types.length > 0, 'the router is last, and only last');
  check(types.every((type: string) => knownFilters.includes(type)), `filters known to gRPC: ${types.join(', ')}`);
  check(!hcm.httpFilters.some((filter: Json) => filter.isOptional), 'no optional filters: RBAC would be skipped silently');
  check(!hcm.xffNumTrustedHops && !hcm.originalIpDetectionExtensions && !hcm.commonHttpProtocolOptions?.idleTimeout, 'xff hops, ip detection, idle_timeout');
  if (hcm.rds) check(hcm.rds.routeConfigName !== '' && hcm.rds.configSource.ads !== undefined, 'rds over ads with a name');
  else lintRouteConfiguration(hcm.routeConfig, side, check);
  for (const filter of hcm.httpFilters) if (String(filter.typedConfig['@type']).endsWith('.RBAC')) lintRbac(filter.typedConfig, check);
}

function lintRbac(filter: Json, check: Check): void {
  check(filter.rules !== undefined, 'RBAC with rules: without, gRPC allows everything');
  for (const [name, policy] of Object.entries<Json>(filter.rules?.policies ?? {})) {
    check(policy.permissions?.length > 0 && policy.principals?.length > 0, `${name}: permissions and principals`);
    const text = JSON.stringify(policy);
    for (const field of ['"condition"', '"uriTemplate"', '"requestedServerName"', '"metadata"', '"matcher"']) check(!text.includes(field), `${name}: ${field}`);
    check(!/"name":"(grpc-[^"]*|:scheme)"/.test(text), `${name}: header names gRPC refuses`);
  }
}

function lintRouteConfiguration(config: Json, side: 'client' | 'server', check: Check): void {
  const domains = config.virtualHosts.flatMap((host: Json) => host.domains);
  check(new Set(domains).size === domains.length, 'each domain once');
  for (const host of config.virtualHosts) {
    check(host.domains?.length > 0, 'domains');
    for (const domain of host.domains) check(/^(\*|[^*]+|\*[^*]+|[^*]+\*)$/.test(domain), `domain ${domain}`);
    for (const route of host.routes ?? []) lintRoute(route, side, check);
  }
}

function lintRoute(route: Json, side: 'client' | 'server', check: Check): void {
  const { match } = route;
  check(['prefix', 'path', 'safeRegex'].filter((key) => match[key] !== undefined).length === 1, `${route.name}: path specifier`);
  check(!match.queryParameters, `${route.name}: no query parameters`);
  for (const header of match.headers ?? []) {
    check(header.stringMatch !== undefined || header.presentMatch !== undefined, `${route.name}: string_match headers only`);
    check(header.stringMatch?.contains === undefined, `${route.name}: Node refuses contains`);
    check(!header.name.startsWith(':'), `${route.name}: pseudo headers never match`);
  }
  for (const type of Object.values<Json>(route.typedPerFilterConfig ?? {})) check(String(type['@type']).endsWith('.HTTPFault'), `${route.name}: per-filter config`);
  if (side === 'server') return check(route.nonForwardingAction !== undefined, `${route.name}: servers do not forward`);
  check(route.route !== undefined && !route.redirect && !route.directResponse && !route.nonForwardingAction, `${route.name}: clients only forward`);
  const { weightedClusters: weighted, retryPolicy: retry, cluster, maxStreamDuration } = route.route ?? {};
  check((cluster ?? '') !== '' || weighted !== undefined, `${route.name}: a cluster`);
  if (weighted) {
    const sum = weighted.clusters.reduce((total: number, entry: Json) => total + (entry.weight ?? 0), 0);
    check(weighted.clusters.every((entry: Json) => entry.weight > 0 && entry.name), `${route.name}: no zero weights`);
    check(sum > 0 && sum < 2 ** 32 && weighted.totalWeight === sum, `${route.name}: total_weight is the sum`);
  }
  if (retry) {
    check(/^(cancelled|deadline-exceeded|internal|resource-exhausted|unavailable)(,(cancelled|deadline-exceeded|internal|resource-exhausted|unavailable))*$/.test(retry.retryOn), `${route.name}: retry_on ${retry.retryOn}`);
    check(retry.numRetries >= 1, `${route.name}: num_retries`);
    const { baseInterval, maxInterval } = retry.retryBackOff ?? {};
    if (baseInterval) check(seconds(baseInterval) > 0 && seconds(baseInterval) < 1 && seconds(maxInterval) < 1 && seconds(maxInterval) >= seconds(baseInterval), `${route.name}: back-off below 1 s`);
  }
  if (maxStreamDuration) check(seconds(maxStreamDuration.maxStreamDuration) > 0, `${route.name}: max_stream_duration`);
}

function lintCluster(cluster: Json, check: Check): void {
  check(cluster.lbPolicy === undefined || cluster.lbPolicy === 'ROUND_ROBIN', 'lb_policy stays ROUND_ROBIN');
  const policies = cluster.loadBalancingPolicy?.policies ?? [];
  const last = policies.at(-1)?.typedExtensionConfig.typedConfig ?? {};
  const tail = last.endpointPickingPolicy ? last.endpointPickingPolicy.policies.at(-1).typedExtensionConfig.typedConfig : last;
  check(String(tail['@type']).endsWith('.RoundRobin'), 'the policy list ends with round robin');
  check(cluster.transportSocketMatches === undefined, 'no transport_socket_matches');
  check(!policies.some((entry: Json) => entry.typedExtensionConfig.typedConfig.minimumRingSize || entry.typedExtensionConfig.typedConfig.maximumRingSize), 'Node refuses every ring size');
  if (cluster.type === 'EDS') check(cluster.edsClusterConfig.edsConfig.ads !== undefined && cluster.edsClusterConfig.serviceName === cluster.name, 'EDS over ads');
  else {
    const localities = cluster.loadAssignment?.endpoints ?? [];
    check(cluster.type === 'LOGICAL_DNS' && localities.length === 1 && localities[0].lbEndpoints.length === 1, 'LOGICAL_DNS with one endpoint');
  }
  if (cluster.transportSocket) {
    check(cluster.transportSocket.name === 'envoy.transport_sockets.tls', 'transport_socket.name');
    const { commonTlsContext } = cluster.transportSocket.typedConfig;
    lintTls(commonTlsContext, true, check);
    check(commonTlsContext.validationContext?.matchSubjectAltNames?.length > 0, 'whom to expect: an empty list takes any certificate of the CA');
  }
}

function lintTls(common: Json, mutual: boolean, check: Check): void {
  check(common.validationContext?.caCertificateProviderInstance?.instanceName === 'default', 'roots from the provider instance');
  if (mutual) check(common.tlsCertificateProviderInstance?.instanceName === 'default', 'key pair from the provider instance');
  for (const field of ['tlsParams', 'customHandshaker', 'tlsCertificates', 'tlsCertificateSdsSecretConfigs', 'validationContextSdsSecretConfig']) check(common[field] === undefined, field);
  for (const field of ['verifyCertificateSpki', 'verifyCertificateHash', 'crl', 'customValidatorConfig', 'requireSignedCertificateTimestamp']) check(common.validationContext?.[field] === undefined, field);
}

function lintAssignment(assignment: Json, check: Check): void {
  const localities = assignment.endpoints ?? [];
  const priorities = [...new Set<number>(localities.map((entry: Json) => entry.priority ?? 0))].sort((a, b) => a - b);
  check(priorities.every((priority, index) => priority === index), 'priorities contiguous from 0');
  const keys = localities.map((entry: Json) => JSON.stringify([entry.priority ?? 0, entry.locality]));
  check(new Set(keys).size === keys.length, 'no locality twice in a priority');
  const addresses = localities.flatMap((entry: Json) => entry.lbEndpoints.map((endpoint: Json) => JSON.stringify(endpoint.endpoint.address)));
  check(new Set(addresses).size === addresses.length, 'no address twice');
  for (const entry of localities) {
    check(entry.locality !== undefined && entry.loadBalancingWeight > 0, 'locality and its weight');
    for (const endpoint of entry.lbEndpoints) {
      const socket = endpoint.endpoint.address.socketAddress;
      check(socket !== undefined && /^[\d.]+$|:/.test(socket.address) && socket.portValue > 0, 'an IP address and port');
      check(endpoint.loadBalancingWeight === undefined || endpoint.loadBalancingWeight >= 1, 'endpoint weight');
    }
  }
}

function seconds(text: string | undefined): number {
  return Number(String(text).replace(/s$/, ''));
}
