// `weft bootstrap`: the file with which a foreign xDS client joins. stdout is the file.
import { Command, Option } from 'commander';
import { hostPort, namespacedName, port, type NamespacedName } from '../arguments.js';
import { usageError } from '../cli-error.js';

interface BootstrapOptions {
  controlPlane: string;
  workload: NamespacedName;
  certificates?: string;
  portOffset: number;
  adminPort: number;
}

export function bootstrapCommand(print: (text: string) => void): Command {
  return new Command('bootstrap')
    .description('print the bootstrap file of a gRPC or Envoy client of this mesh')
    .argument('<client>', 'grpc or envoy')
    .requiredOption('--control-plane <host:port>', "the control plane's plain-text xDS port", hostPort)
    .requiredOption('--workload <ns/name>', 'the workload the client belongs to', namespacedName)
    .option('--certificates <dir>', 'grpc: folder with cert-chain.pem, key.pem and root-cert.pem: declares the certificate provider "default"')
    .addOption(new Option('--port-offset <n>', 'envoy: added to the port of every outbound listener').argParser(port).default(0))
    .addOption(new Option('--admin-port <port>', 'envoy: port of its admin page on 127.0.0.1; 0 = any').argParser(port).default(0))
    .action((client: string, options: BootstrapOptions) => {
      const make = { grpc: grpcBootstrap, envoy: envoyBootstrap }[client];
      if (!make) throw usageError(`there is no bootstrap for ${client}`, 'it is `weft bootstrap grpc` or `weft bootstrap envoy`');
      print(`${JSON.stringify(make(options), undefined, 2)}\n`);
    });
}

function node({ workload }: BootstrapOptions) {
  const { namespace, name } = workload;
  return { id: `sidecar~127.0.0.1~${name}.${namespace}~${namespace}.svc.cluster.local`, cluster: `${name}.${namespace}`, locality: {} };
}

/** gRPC's own format (gRFC A27); `locality` and `id` are required by grpc-js-xds. */
function grpcBootstrap(options: BootstrapOptions) {
  const { workload, certificates } = options;
  const files = certificates?.replace(/\/+$/, '');
  return {
    xds_servers: [{ server_uri: options.controlPlane, channel_creds: [{ type: 'insecure' }], server_features: ['xds_v3'] }],
    node: {
      ...node(options),
      metadata: { GENERATOR: 'grpc', NAMESPACE: workload.namespace, WORKLOAD_NAME: workload.name, ...(files ? { WEFT_CERT_PROVIDERS: 'default' } : {}) },
    },
    server_listener_resource_name_template: 'xds.istio.io/grpc/lds/inbound/%s',
    ...(files
      ? {
          certificate_providers: {
            default: {
              plugin_name: 'file_watcher',
              config: {
                certificate_file: `${files}/cert-chain.pem`,
                private_key_file: `${files}/key.pem`,
                ca_certificate_file: `${files}/root-cert.pem`,
                refresh_interval: '10s',
              },
            },
          },
        }
      : {}),
  };
}

/** Envoy's own bootstrap: delta ADS over one HTTP/2 cluster, listeners and clusters by wildcard. */
function envoyBootstrap(options: BootstrapOptions) {
  const { workload, portOffset } = options;
  const separator = options.controlPlane.lastIndexOf(':');
  const address = options.controlPlane.slice(0, separator).replace(/^\[|\]$/g, '');
  const ads = { ads: {}, resource_api_version: 'V3' };
  return {
    node: { ...node(options), metadata: { NAMESPACE: workload.namespace, WORKLOAD_NAME: workload.name, INTERCEPTION_MODE: 'NONE', WEFT_PORT_OFFSET: portOffset } },
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: options.adminPort } } },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'weft' } }],
      },
      lds_config: ads,
      cds_config: ads,
    },
    static_resources: {
      clusters: [
        {
          name: 'weft',
          type: 'STRICT_DNS',
          connect_timeout: '5s',
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              explicit_http_config: { http2_protocol_options: { connection_keepalive: { interval: '30s', timeout: '5s' } } },
            },
          },
          load_assignment: {
            cluster_name: 'weft',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address, port_value: Number(options.controlPlane.slice(separator + 1)) } } } }] }],
          },
        },
      ],
    },
  };
}
