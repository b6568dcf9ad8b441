// How connections to a cluster's hosts are made: keep-alive of TCP, which address goes first, where they come from.
import { UpstreamConnectionOptions_FirstAddressFamilyVersion as Family, UpstreamConnectionOptions_HappyEyeballsConfigSchema, UpstreamConnectionOptionsSchema, type Cluster } from '@weft/xds-api/cluster';
import { BindConfigSchema, ExtraSourceAddressSchema, SocketAddress_Protocol, TcpKeepaliveSchema, type SocketAddress } from '@weft/xds-api/core';
import { isIP } from 'node:net';
import type { ClusterConfig, HappyEyeballsConfig, HostAddress } from './cluster-config.js';
import { join, knownFields, type Report } from './report.js';

const optionFields = knownFields(UpstreamConnectionOptionsSchema, ['tcp_keepalive', 'happy_eyeballs_config']);
// Node sends 10 probes a second apart, and lets nobody choose.
const keepAliveFields = knownFields(TcpKeepaliveSchema, ['keepalive_time'], ['keepalive_probes', 'keepalive_interval']);
const eyeballsFields = knownFields(UpstreamConnectionOptions_HappyEyeballsConfigSchema, ['first_address_family_version', 'first_address_family_count']);
const bindFields = knownFields(BindConfigSchema, ['source_address', 'extra_source_addresses']);
const extraFields = knownFields(ExtraSourceAddressSchema, ['address']);
/** Linux's, which counts where keep-alive is asked for without a time. */
const defaultKeepAliveSeconds = 7200;

type Connections = Pick<ClusterConfig, 'tcpKeepAliveMs' | 'happyEyeballs' | 'sourceAddresses'>;

export function decodeConnections({ upstreamConnectionOptions: options, upstreamBindConfig: bind }: Cluster, report: Report): Connections {
  const path = 'upstream_connection_options';
  if (options) report.check(optionFields, options, path);
  const keepAlive = options?.tcpKeepalive;
  if (keepAlive) report.check(keepAliveFields, keepAlive, join(path, 'tcp_keepalive'));
  const eyeballs = options?.happyEyeballsConfig;
  if (eyeballs) report.check(eyeballsFields, eyeballs, join(path, 'happy_eyeballs_config'));
  const sourceAddresses: HostAddress[] = [];
  if (bind) {
    const bindPath = 'upstream_bind_config';
    report.check(bindFields, bind, bindPath);
    sourceAddresses.push(...sourceAddress(bind.sourceAddress, join(bindPath, 'source_address'), report));
    bind.extraSourceAddresses.forEach((extra, i) => {
      const at = `${bindPath}.extra_source_addresses[${i}]`;
      report.check(extraFields, extra, at);
      sourceAddresses.push(...sourceAddress(extra.address, join(at, 'address'), report));
    });
  }
  return {
    ...(keepAlive && { tcpKeepAliveMs: (keepAlive.keepaliveTime ?? defaultKeepAliveSeconds) * 1000 }),
    ...(eyeballs && { happyEyeballs: happyEyeballs(eyeballs.firstAddressFamilyVersion, eyeballs.firstAddressFamilyCount, join(path, 'happy_eyeballs_config'), report) }),
    ...(sourceAddresses.length > 0 && { sourceAddresses }),
  };
}

function happyEyeballs(family: Family, count: number | undefined, path: string, report: Report): HappyEyeballsConfig {
  if (count === 0) report.add(join(path, 'first_address_family_count'), 'must be 1 or more');
  return { ...(family === Family.V4 && { firstFamily: 'ipv4' as const }), ...(family === Family.V6 && { firstFamily: 'ipv6' as const }), ...(count && { firstCount: count }) };
}

/** One, or none where it is wrong or left to the system. */
function sourceAddress(message: SocketAddress | undefined, path: string, report: Report): HostAddress[] {
  if (!message) return [];
  const { address, portSpecifier, protocol } = message;
  if (protocol !== SocketAddress_Protocol.TCP) report.add(join(path, 'protocol'), 'must be TCP');
  if (isIP(address) === 0) report.add(join(path, 'address'), `${JSON.stringify(address)} is not an IP address`);
  return [{ address, port: portSpecifier.case === 'portValue' ? portSpecifier.value : 0 }];
}
