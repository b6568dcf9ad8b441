import { packAny } from '@weft/xds-api';
import { HttpProtocolOptionsSchema, UpstreamConnectionOptions_FirstAddressFamilyVersion as Family } from '@weft/xds-api/cluster';
import { ProxyProtocolConfig_Version as Version } from '@weft/xds-api/core';
import { ProxyProtocolUpstreamTransportSchema } from '@weft/xds-api/tls';
import { expect, it } from 'vitest';
import { assignment, cluster, endpoint, locality, problemsOf, types, upstreamTls } from './testing.js';

const decode = (init: object) => types.cluster.decode(cluster(init as never)).resource;
const problems = (init: object) => problemsOf(types.cluster, cluster(init as never));
const socketAddress = (address: string, port = 0) => ({ address, portSpecifier: { case: 'portValue', value: port } });

it('keep-alive of TCP and the order of address families are read', () => {
  expect(decode({ upstreamConnectionOptions: { tcpKeepalive: { keepaliveTime: 30, keepaliveProbes: 3 } } }).tcpKeepAliveMs).toBe(30_000);
  expect(decode({ upstreamConnectionOptions: { tcpKeepalive: {} } }).tcpKeepAliveMs).toBe(7_200_000);
  expect(decode({ upstreamConnectionOptions: { happyEyeballsConfig: { firstAddressFamilyVersion: Family.V6, firstAddressFamilyCount: 2 } } }).happyEyeballs).toEqual({ firstFamily: 'ipv6', firstCount: 2 });
  expect(problems({ upstreamConnectionOptions: { happyEyeballsConfig: { firstAddressFamilyCount: 0 }, setLocalInterfaceNameOnUpstreamConnections: true } })).toEqual(['upstream_connection_options.set_local_interface_name_on_upstream_connections: not supported', 'upstream_connection_options.happy_eyeballs_config.first_address_family_count: must be 1 or more']);
});

it('source addresses are read, options of their sockets refused', () => {
  expect(decode({ upstreamBindConfig: { sourceAddress: socketAddress('10.0.0.9'), extraSourceAddresses: [{ address: socketAddress('fd00::9', 7) }] } }).sourceAddresses).toEqual([{ address: '10.0.0.9', port: 0 }, { address: 'fd00::9', port: 7 }]);
  expect(problems({ upstreamBindConfig: { sourceAddress: socketAddress('host'), freebind: true, socketOptions: [{}] } })).toEqual(['upstream_bind_config.freebind: not supported', 'upstream_bind_config.socket_options: not supported', 'upstream_bind_config.source_address.address: "host" is not an IP address']);
});

it('a keep-alive of HTTP/2 is read wherever HTTP/2 is configured', () => {
  const http2 = (connectionKeepalive: object) => ({ typedExtensionProtocolOptions: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': packAny(HttpProtocolOptionsSchema, { upstreamProtocolOptions: { case: 'explicitHttpConfig', value: { protocolConfig: { case: 'http2ProtocolOptions', value: { connectionKeepalive } } } } } as never) } });
  expect(decode(http2({ interval: { seconds: 5n }, timeout: { seconds: 2n } })).http2KeepAlive).toEqual({ intervalMs: 5000, timeoutMs: 2000 });
  // Without an interval Envoy sends no pings by itself.
  expect(decode(http2({ timeout: { seconds: 2n } })).http2KeepAlive).toBeUndefined();
  expect(problems(http2({ connectionIdleInterval: { seconds: 1n } }))).toEqual([expect.stringContaining('connection_keepalive.connection_idle_interval: not supported'), expect.stringContaining('connection_keepalive.timeout: is required')]);
});

it('a PROXY protocol header may go before plain text and TLS', () => {
  const wrapped = (init: object) => ({ transportSocket: { name: 'envoy.transport_sockets.upstream_proxy_protocol', configType: { case: 'typedConfig', value: packAny(ProxyProtocolUpstreamTransportSchema, init as never) } } });
  const plain = { name: 'envoy.transport_sockets.raw_buffer' };
  expect(decode(wrapped({ transportSocket: plain })).transportSockets).toEqual([{ name: 'envoy.transport_sockets.upstream_proxy_protocol', match: {}, proxyProtocol: 'v1' }]);
  expect(decode(wrapped({ transportSocket: upstreamTls(), config: { version: Version.V2 } })).transportSockets[0]).toMatchObject({ proxyProtocol: 'v2', tls: { identityProvider: 'default' } });
  expect(problems(wrapped({}))).toEqual(['transport_socket.typed_config.transport_socket: is required']);
});

it('endpoints may have further addresses, under the same rules', () => {
  const of = (...addresses: string[]) => {
    const made = endpoint('10.0.0.1');
    Object.assign(made.hostIdentifier!.value as object, { additionalAddresses: addresses.map((address) => ({ address: { address: { case: 'socketAddress', value: socketAddress(address, 8080) } } })) });
    return assignment([locality('a', [made])]);
  };
  expect(types.endpoints.decode(of('fd00::1')).resource.localities[0]?.endpoints[0]?.additionalAddresses).toEqual([{ address: 'fd00::1', port: 8080 }]);
  expect(problemsOf(types.endpoints, of('fe80::1'))).toEqual([expect.stringContaining('additional_addresses[0].address.socket_address.address: fe80::1: ')]);
});
