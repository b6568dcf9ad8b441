import { packAny } from '@weft/xds-api';
import { RBACFilterSchema } from '@weft/xds-api/filter-rbac';
import { EarlyHeaderMutationSchema, HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert, HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes, RouterSchema } from '@weft/xds-api/http';
import { ListenerSchema, ProxyProtocolSchema } from '@weft/xds-api/listener';
import { TypedStructSchema } from '@weft/xds-api/typed-struct';
import { describe, expect, it } from 'vitest';
import type { HttpFilterFactory } from '../filter/http-filter.js';
import { HttpFilterRegistry } from './http-filter.js';
import { ads, chain, clientListener, downstreamTls, encode, fault, manager, problemsOf, rbac, route, router, serverListener, testTypes, types } from './testing.js';

const stranger = { name: 'stranger', configType: { case: 'typedConfig', value: { typeUrl: 'type.googleapis.com/nobody.Knows', value: new Uint8Array() } } } as const;
const hcm = 'api_listener.api_listener';

describe('client listeners', () => {
  it('are decoded, frozen', () => {
    const { name, resource } = types.client.decode(clientListener({ httpFilters: [fault, router], commonHttpProtocolOptions: { maxStreamDuration: { seconds: 2n, nanos: 5e8 } } }));
    expect(name).toBe('payments:8080');
    expect(resource.api).toMatchObject({ route: { kind: 'rds', name: 'routes' }, maxStreamDurationMs: 2500, normalizePath: false, escapedSlashes: 'keep' });
    expect(resource.api!.httpFilters.map((filter) => [filter.name, filter.factory.name])).toEqual([['fault', 'envoy.filters.http.fault'], ['router', 'envoy.filters.http.router']]);
    expect(Object.isFrozen(resource) && Object.isFrozen(resource.api) && Object.isFrozen(resource.api!.httpFilters)).toBe(true);
    expect(Object.isFrozen(resource.api!.httpFilters[0]!.factory)).toBe(false);
  });

  it.each<[string, Uint8Array, string]>([
    ['that are only for servers', serverListener(), 'api_listener: is required: this name was dialled by a client'],
    ['that hold something else', encode(ListenerSchema, { name: 'x', apiListener: { apiListener: packAny(RouterSchema, {}) } }), `${hcm}: must be an HttpConnectionManager, is envoy.extensions.filters.http.router.v3.Router`],
    ['without a name', encode(ListenerSchema, { apiListener: { apiListener: manager() } }), 'name: must not be empty'],
    ['without routes', clientListener({ routeSpecifier: { case: undefined } }), `${hcm}: one of rds, route_config is required`],
    ['with scoped routes', clientListener({ routeSpecifier: { case: 'scopedRoutes', value: {} } }), `${hcm}.scoped_routes: not supported: what a client dials, or a server binds, has one RouteConfiguration (rds or route_config), whose virtual hosts and matchers tell requests apart`],
    ['with an empty route name', clientListener({ routeSpecifier: { case: 'rds', value: { configSource: ads } } }), `${hcm}.rds.route_config_name: must not be empty`],
    ['with routes from elsewhere', clientListener({ routeSpecifier: { case: 'rds', value: { routeConfigName: 'r', configSource: { configSourceSpecifier: { case: 'path', value: '/r' } } } } }), `${hcm}.rds.config_source: must be ads or self`],
    ['without filters', clientListener({ httpFilters: [] }), `${hcm}.http_filters: must not be empty: the router is missing`],
    ['without a router', clientListener({ httpFilters: [fault] }), `${hcm}.http_filters: the last filter must be terminal (the router), is "fault"`],
    ['with the router too early', clientListener({ httpFilters: [router, fault] }), `${hcm}.http_filters: the terminal filter "router" must be the last`],
    ['with two filters of one name', clientListener({ httpFilters: [fault, fault, router] }), `${hcm}.http_filters[1].name: "fault" is used twice`],
    ['with a filter without a name', clientListener({ httpFilters: [{ ...fault, name: '' }, router] }), `${hcm}.http_filters[0].name: must not be empty`],
    ['with a filter nobody knows', clientListener({ httpFilters: [stranger, router] }), `${hcm}.http_filters[0].typed_config: no filter reads nobody.Knows`],
    ['with a server filter', clientListener({ httpFilters: [rbac, router] }), `${hcm}.http_filters[0].typed_config: the filter envoy.filters.http.rbac is not for clients`],
    ['with a filter without a configuration', clientListener({ httpFilters: [{ name: 'x' }, router] }), `${hcm}.http_filters[0].typed_config: is required`],
    ['with a filter from elsewhere', clientListener({ httpFilters: [{ name: 'x', configType: { case: 'configDiscovery', value: {} } }, router] }), `${hcm}.http_filters[0].config_discovery: not supported`],
    ['that trust X-Forwarded-For', clientListener({ xffNumTrustedHops: 1 }), `${hcm}.xff_num_trusted_hops: must be 0`],
    ['that take addresses from headers', clientListener({ originalIpDetectionExtensions: [{ name: 'x' }] }), `${hcm}.original_ip_detection_extensions: not supported`],
    ['with fields nobody reads', clientListener({ localReplyConfig: {} }), `${hcm}.local_reply_config: not supported`],
    ['that strip ports in two ways', clientListener({ stripMatchingHostPort: true, stripPortMode: { case: 'stripAnyHostPort', value: true } }), `${hcm}.strip_matching_host_port: cannot stand beside strip_any_host_port`],
    ['with an early edit of a framing header', clientListener({ earlyHeaderMutationExtensions: [{ name: 'x', typedConfig: packAny(EarlyHeaderMutationSchema, { mutations: [{ action: { case: 'remove', value: 'content-length' } }] }) }] }), `${hcm}.early_header_mutation_extensions[0].typed_config.mutations[0].remove: content-length must not be changed`],
    ['with an early edit of another kind', clientListener({ earlyHeaderMutationExtensions: [{ name: 'x', typedConfig: packAny(RouterSchema, {}) }] }), `${hcm}.early_header_mutation_extensions[0].typed_config: must be envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation, is envoy.extensions.filters.http.router.v3.Router`],
    ['with a wrong duration', clientListener({ streamIdleTimeout: { seconds: -1n } }), `${hcm}.stream_idle_timeout: must be a duration of 0 s to 315576000000 s`],
  ])('are refused %s', (_what, bytes, problem) => {
    expect(problemsOf(types.client, bytes)).toContain(problem);
  });

  it('may mark filters optional that are unknown or for servers', () => {
    const { resource } = types.client.decode(clientListener({ httpFilters: [{ ...stranger, isOptional: true }, { ...rbac, isOptional: true }, router] }));
    expect(resource.api!.httpFilters.map(({ name }) => name)).toEqual(['router']);
  });

  it('take the harmless fields that Istio sends', () => {
    expect(problemsOf(types.client, clientListener({ statPrefix: 's', serverName: 'istio-envoy', useRemoteAddress: false, upgradeConfigs: [{ upgradeType: 'websocket' }], normalizePath: true, tracing: {} }))).toEqual([]);
  });

  it('are refused for fields of a newer Envoy, by number', () => {
    const bytes = Buffer.concat([clientListener(), Buffer.from([0xc2, 0x3e, 0])]); // field 1000, empty
    expect(problemsOf(types.client, bytes)).toEqual(['#1000: not supported (a field this version of Weft does not know)']);
  });

  it('throw, and do not crash, on bytes that are no message', () => {
    for (const bytes of [[0xff], [0x0a, 0x7f, 1], [0x0b], Array.from({ length: 300 }, () => 0x0b)]) expect(() => types.client.decode(Uint8Array.from(bytes))).toThrow();
  });

  it('look through TypedStruct at the filter it stands for', () => {
    const wrapped = (json: object, typeUrl = 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault') => ({ name: 'fault', configType: { case: 'typedConfig', value: packAny(TypedStructSchema, { typeUrl, value: json as never }) } }) as const;
    const [filter] = types.client.decode(clientListener({ httpFilters: [wrapped({ abort: { http_status: 418, percentage: { numerator: 100 } } }), router] })).resource.api!.httpFilters;
    expect(JSON.stringify(filter!.config)).toContain('418');
    expect(problemsOf(types.client, clientListener({ httpFilters: [wrapped({ no: 1 }), router] }))[0]).toMatch(/http_filters\[0\].typed_config: value does not fit envoy.extensions.filters.http.fault.v3.HTTPFault/);
    expect(problemsOf(types.client, clientListener({ httpFilters: [wrapped({}, ''), router] }))[0]).toMatch(/TypedStruct without type_url/);
    const seen: string[] = [];
    const own: HttpFilterFactory = { name: 'own', typeUrls: ['type.googleapis.com/my.Filter'], sides: ['client'], parse: (_url, value) => seen.push(Buffer.from(value).toString()), create: () => ({ forRoute: () => undefined }) };
    testTypes([own]).client.decode(clientListener({ httpFilters: [wrapped({ a: [1] }, 'x/my.Filter'), router] }));
    expect(seen).toEqual(['{"a":[1]}']);
    expect(() => new HttpFilterRegistry([own, { ...own, name: 'other' }])).toThrow(/own and other both read my.Filter/);
    expect(() => new HttpFilterRegistry([own, { ...own, typeUrls: [] }])).toThrow(/two HTTP filters are named own/);
  });

  it('are refused where inline routes override a filter by the configuration of another', () => {
    const override = (name: string) => clientListener({
      httpFilters: [fault, router],
      routeSpecifier: { case: 'routeConfig', value: { name: 'r', virtualHosts: [{ name: 'v', domains: ['*'], routes: [route({ typedPerFilterConfig: { [name]: packAny(RBACFilterSchema, {}) } })] }] } },
    });
    expect(problemsOf(types.client, override('fault'))[0]).toMatch(/route_config: typed_per_filter_config\["fault"\] is for envoy.filters.http.rbac, the filter of that name is envoy.filters.http.fault/);
    expect(problemsOf(types.client, override('elsewhere'))).toEqual([]);
  });
});

describe('server listeners', () => {
  it('are decoded', () => {
    const { resource } = types.server.decode(serverListener({
      filterChains: [chain({ filterChainMatch: { transportProtocol: 'tls', serverNames: ['A.b'] }, transportSocket: downstreamTls() }), chain({ filterChainMatch: { transportProtocol: 'raw_buffer', prefixRanges: [{ addressPrefix: '10.0.0.0', prefixLen: 8 }] } })],
      metadata: { filterMetadata: { istio: { services: [{ host: 'h', name: 'n', namespace: 'ns' }], workload: 'w;ns;c;r;k' } } },
    }));
    expect(resource).toMatchObject({ address: { host: '10.0.0.1', port: 8080 }, services: [{ host: 'h', name: 'n', namespace: 'ns' }], workload: { name: 'w', canonicalService: 'c', canonicalRevision: 'r' } });
    expect(resource.filterChains.map(({ match, tls }) => [match.transportProtocol, match.serverNames, match.prefixRanges, tls?.requireClientCertificate])).toEqual([
      ['tls', ['a.b'], [], true],
      ['raw_buffer', [], [{ address: '10.0.0.0', prefixLength: 8 }], undefined],
    ]);
  });

  it.each<[string, Uint8Array, string]>([
    ['without filter chains', serverListener({ filterChains: [] }), 'filter_chains: must not be empty'],
    ['without an address', serverListener({ address: {} }), 'address: socket_address is required'],
    ['with use_original_dst', serverListener({ useOriginalDst: true }), 'use_original_dst: not supported'],
    ['with a PROXY protocol of which nothing is left', serverListener({ listenerFilters: [{ name: 'p', configType: { case: 'typedConfig', value: packAny(ProxyProtocolSchema, { disallowedVersions: [0, 1], rules: [{}] } as never) } }] }), 'listener_filters[0].typed_config.disallowed_versions: must leave a version'],
    ['with rules for TLVs', serverListener({ listenerFilters: [{ name: 'p', configType: { case: 'typedConfig', value: packAny(ProxyProtocolSchema, { rules: [{}] } as never) } }] }), 'listener_filters[0].typed_config.rules: not supported'],
    ['with listener filters', serverListener({ listenerFilters: [{ name: 'proxy_protocol' }] }), 'listener_filters[0]: not supported'],
    ['with two network filters', serverListener({ filterChains: [chain({ filters: [{ name: 'a', configType: { case: 'typedConfig', value: manager() } }, { name: 'b' }] })] }), 'filter_chains[0].filters: must be one HttpConnectionManager, are 2 filters'],
    ['with two chains for the same connections', serverListener({ filterChains: [chain({ filterChainMatch: {} }), chain()] }), 'filter_chains[1].filter_chain_match: the same as that of an earlier filter chain'],
    ['with a wrong range', serverListener({ filterChains: [chain({ filterChainMatch: { sourcePrefixRanges: [{ addressPrefix: '10.0.0.0', prefixLen: 33 }] } })] }), 'filter_chains[0].filter_chain_match.source_prefix_ranges[0].prefix_len: must be 0 to 32'],
    ['with a match nobody reads', serverListener({ filterChains: [chain({ filterChainMatch: { directSourcePrefixRanges: [{ addressPrefix: '10.0.0.0' }] } })] }), 'filter_chains[0].filter_chain_match.direct_source_prefix_ranges: not supported'],
    ['that believe the certificates others forward', serverListener({ filterChains: [chain({ filters: [{ name: 'h', configType: { case: 'typedConfig', value: manager({ forwardClientCertDetails: ForwardClientCert.ALWAYS_FORWARD_ONLY }) } }] })] }), 'filter_chains[0].filters[0].typed_config.forward_client_cert_details: only SANITIZE and SANITIZE_SET are supported: the header of a caller is never believed'],
  ])('are refused %s', (_what, bytes, problem) => {
    expect(problemsOf(types.server, bytes)).toContain(problem);
  });

  it('take a PROXY protocol header, of some versions, or none', () => {
    const decode = (init: object) => types.server.decode(serverListener({ listenerFilters: [{ name: 'envoy.filters.listener.proxy_protocol', configType: { case: 'typedConfig', value: packAny(ProxyProtocolSchema, init as never) } }] })).resource.proxyProtocol;
    expect(decode({})).toEqual({ optional: false, versions: ['v1', 'v2'] });
    expect(decode({ allowRequestsWithoutProxyProtocol: true, disallowedVersions: [0] })).toEqual({ optional: true, versions: ['v2'] });
  });

  it('take use_original_dst false, inspectors, path normalisation and leave QUIC chains out', () => {
    const { resource } = types.server.decode(serverListener({
      useOriginalDst: false,
      listenerFilters: [{ name: 'envoy.filters.listener.tls_inspector' }],
      filterChains: [chain({ filterChainMatch: { transportProtocol: 'quic' } }), chain({ filters: [{ name: 'h', configType: { case: 'typedConfig', value: manager({ mergeSlashes: true, pathWithEscapedSlashesAction: EscapedSlashes.REJECT_REQUEST }) } }] })],
    }));
    expect(resource.filterChains.map(({ http }) => [http?.mergeSlashes, http?.escapedSlashes])).toEqual([[true, 'reject']]);
  });
});
