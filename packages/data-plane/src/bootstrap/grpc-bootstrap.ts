// gRPC's bootstrap JSON (gRFC A27, A29, A53, A65).
import type { Bootstrap, ControlPlaneServer, IdentityConfig, NodeConfig } from './bootstrap.js';
import { isLoopbackTarget } from './address.js';
import type { JsonValue } from './json-value.js';

export function readGrpcBootstrap(root: JsonValue, source: string): Bootstrap {
  const warnings: string[] = [];
  const servers = root.field('xds_servers').list().map((server) => readServer(server, warnings));
  const [first, ...others] = servers;
  if (!first) throw root.field('xds_servers').error('must hold at least one server');
  if (others.length > 0) warnings.push('only the first of xds_servers is used');
  const node = readNode(root.field('node'));
  const providers = readCertificateProviders(root.field('certificate_providers'), warnings);
  if (root.field('authorities').present && root.field('authorities').fields().length > 0) warnings.push('authorities are not supported: xdstp names of other authorities are asked for here');
  const { namespace, name, clusterDomain } = readNodeId(node);
  const template = root.field('client_default_listener_resource_name_template').optionalString();
  return {
    source,
    servers: [first, ...others],
    node,
    identity: providers.identity,
    // `default` always: where it is not declared there is no identity, and what needs one is refused when it is used.
    certificateProviders: new Set(['default', ...providers.names]),
    names: {
      namespace,
      clusterDomain,
      // Istio's own: it answers full names only.
      expand: node.metadata['GENERATOR'] === 'grpc',
      ...(template !== undefined && { template }),
    },
    serverListenerTemplate: root.field('server_listener_resource_name_template').optionalString(),
    workload: { namespace, name },
    // Envoy's name for it; gRPC has none.
    ...localClusterOf(root.field('local_cluster_name').optionalString()),
    warnings,
  };
}

function localClusterOf(name: string | undefined): Pick<Bootstrap, 'localClusterName'> {
  return name ? { localClusterName: name } : {};
}

function readServer(server: JsonValue, warnings: string[]): ControlPlaneServer {
  const target = server.field('server_uri').string();
  const credentials = server.field('channel_creds');
  const known = credentials.list().map(readCredentials).find((candidate) => candidate !== undefined);
  if (!known) {
    const types = credentials.list().map((each) => each.field('type').string()).join(', ');
    throw credentials.error(`none is supported (insecure, tls)${types ? `: ${types}` : ''}${types.includes('google_default') ? '; google_default needs Google Cloud' : ''}`);
  }
  if (server.field('call_creds').list().length > 0) warnings.push(`${server.path}.call_creds is not supported and left out`);
  const features = server.field('server_features').list().map((feature) => feature.value);
  return { address: target.replace(/^dns:\/*/, ''), target, credentials: known, ignoreResourceDeletion: features.includes('ignore_resource_deletion'), loopback: isLoopbackTarget(target) };
}

function readCredentials(credentials: JsonValue): ControlPlaneServer['credentials'] | undefined {
  switch (credentials.field('type').string()) {
    case 'insecure':
      return { kind: 'insecure' };
    case 'tls': {
      const config = credentials.field('config');
      const caCertificateFile = config.field('ca_certificate_file').optionalString();
      const certificateFile = config.field('certificate_file').optionalString();
      const privateKeyFile = config.field('private_key_file').optionalString();
      if ((certificateFile === undefined) !== (privateKeyFile === undefined)) throw config.error('certificate_file and private_key_file go together');
      return { kind: 'tls', ...(caCertificateFile !== undefined && { caCertificateFile }), ...(certificateFile !== undefined && { certificateFile }), ...(privateKeyFile !== undefined && { privateKeyFile }) };
    }
    default:
      return undefined;
  }
}

function readNode(node: JsonValue): NodeConfig {
  const locality = node.field('locality');
  const metadata = node.field('metadata');
  return {
    id: node.field('id').optionalString() ?? '',
    cluster: node.field('cluster').optionalString() ?? '',
    locality: {
      region: locality.field('region').optionalString() ?? '',
      zone: locality.field('zone').optionalString() ?? '',
      subZone: locality.field('sub_zone').optionalString() ?? '',
    },
    metadata: metadata.present ? metadata.object() : {},
  };
}

/** `sidecar~IP~NAME.NAMESPACE~NAMESPACE.svc.DOMAIN`, where it is one of Istio's. */
function readNodeId({ id, cluster, metadata }: NodeConfig): { namespace: string; name: string; clusterDomain: string } {
  const [, , fullName = '', domain = ''] = id.split('~');
  const dot = fullName.lastIndexOf('.');
  const declared = metadata['NAMESPACE'];
  const namespace = typeof declared === 'string' && declared !== '' ? declared : dot > 0 ? fullName.slice(dot + 1) : 'default';
  return {
    namespace,
    name: (dot > 0 ? fullName.slice(0, dot) : '') || cluster || id || 'unknown',
    clusterDomain: domain.split('.svc.')[1] ?? 'cluster.local',
  };
}

function readCertificateProviders(providers: JsonValue, warnings: string[]): { identity: IdentityConfig | undefined; names: string[] } {
  const found = providers.fields().flatMap(([name, provider]): [string, IdentityConfig][] => {
    if (provider.field('plugin_name').string() !== 'file_watcher') {
      warnings.push(`${provider.path}: the plugin ${JSON.stringify(provider.field('plugin_name').value)} is not known; TLS contexts that name it are refused`);
      return [];
    }
    const config = provider.field('config');
    const refreshIntervalMs = readDuration(config.field('refresh_interval'));
    return [[name, {
      kind: 'files',
      certificateFile: config.field('certificate_file').string(),
      privateKeyFile: config.field('private_key_file').string(),
      caCertificateFile: config.field('ca_certificate_file').string(),
      ...(refreshIntervalMs !== undefined && { refreshIntervalMs }),
    }]];
  });
  // One process has one identity.
  const chosen = found.find(([name]) => name === 'default') ?? found[0];
  if (found.length > 1 && chosen) warnings.push(`of the certificate providers only ${JSON.stringify(chosen[0])} is used; TLS contexts that name another are refused`);
  return { identity: chosen?.[1], names: chosen ? [chosen[0]] : [] };
}

/** `10s`, `0.5s`: protobuf's JSON form. Milliseconds. */
function readDuration(value: JsonValue): number | undefined {
  const text = value.optionalString();
  if (text === undefined) return undefined;
  const seconds = /^(\d+(?:\.\d{1,9})?)s$/.exec(text)?.[1];
  if (seconds === undefined || Number(seconds) === 0) throw value.error('must be a duration such as "10s"');
  return Number(seconds) * 1000;
}
