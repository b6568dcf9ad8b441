import { describe, expect, it } from 'vitest';
import { authorization, peerPolicy, routeRule, service, workload, workloadGroup } from '../model/fixture.js';
import type { ModelObject } from '../model/model-object.js';
import type { HttpMatch, HttpRoute } from '../model/route-rule.js';
import { contextOf, generateJson, type Json, type TestMesh } from './fixture.js';
import { lintForGrpc } from './lint.js';
import { grpcProfile } from './profile/grpc.js';
import { weftProfile } from './profile/weft.js';

const payments = service('payments', { ports: [{ number: 80, name: 'http', protocol: 'http', targetPort: 8080 }] });
const group = workloadGroup('payments', { ports: { http: 8080 } });
const registration = (port: number) =>
  workload('payments-1', '10.0.0.1', { labels: { app: 'payments', version: 'v2' }, serviceAccount: 'payments', via: 'registration', group: 'default/payments', ports: { http: 8080 }, boundPorts: { http: port } });
const node = { workload: 'payments', serviceAccount: 'payments', addresses: ['10.0.0.1'] };

function inbound(objects: ModelObject[], name = 'weft/inbound/http/10.0.0.1:8080', mesh: TestMesh = { node }) {
  const context = contextOf([payments, group, ...objects], mesh);
  return { listener: generateJson(weftProfile, 'listener', name, context), warnings: context.warnings };
}

const protocols = (listener: Json) => listener.filterChains.map((chain: Json) => chain.filterChainMatch.transportProtocol);

describe('the listener of a Weft server', () => {
  it('hands every request to the application, under the limits Istio sets', () => {
    const { listener } = inbound([registration(8080)]);
    expect(listener).toMatchObject({
      name: 'weft/inbound/http/10.0.0.1:8080',
      address: { socketAddress: { address: '10.0.0.1', portValue: 8080 } },
      metadata: { filterMetadata: { istio: { services: [{ host: payments.host, name: 'payments', namespace: 'default' }], workload: 'payments;default;payments;latest;Kubernetes' } } },
    });
    const hcm = listener.filterChains[0].filters[0].typedConfig;
    expect(hcm).toMatchObject({
      routeConfig: { name: 'inbound|http|8080', virtualHosts: [{ name: 'inbound|http|8080', domains: ['*'], routes: [{ match: { prefix: '/' }, nonForwardingAction: {} }] }] },
      normalizePath: true, mergeSlashes: true, pathWithEscapedSlashesAction: 'KEEP_UNCHANGED', forwardClientCertDetails: 'SANITIZE_SET', streamIdleTimeout: '0s',
    });
    expect(hcm.httpFilters.map((filter: Json) => filter.name)).toEqual(['envoy.filters.http.router']);
  });

  describe('answers browsers', () => {
    const match = (over: Partial<HttpMatch>): HttpMatch => ({ name: '', ignoreUriCase: false, headers: [], withoutHeaders: [], queryParams: [], sourceLabels: {}, ...over });
    const route = (over: Partial<HttpRoute>): HttpRoute => ({ name: '', matches: [], mirrors: [], action: { kind: 'route', destinations: [] }, ...over });
    const cors = { allowOrigins: [{ kind: 'exact', value: 'https://a.test' }], allowMethods: ['GET'], allowHeaders: [], exposeHeaders: [] } as const;
    const hcmOf = (http: HttpRoute[], objects: ModelObject[] = [registration(40123)]) => {
      const { listener, warnings } = inbound([...objects, routeRule('payments', [payments.host], { http })], 'weft/inbound/http/10.0.0.1:40123');
      const hcm = listener.filterChains[0].filters[0].typedConfig;
      return { filters: hcm.httpFilters.map(({ name }: Json) => name), routes: hcm.routeConfig.virtualHosts[0].routes, warnings };
    };
    const uri = (value: string) => ({ uri: { kind: 'prefix', value } as const });

    it('as the rule of its service says, after authorization', () => {
      const deny = authorization('deny', { action: 'deny', rules: [{ from: [], to: [], when: [] }] });
      const { filters, routes } = hcmOf([route({ name: 'api', matches: [match(uri('/api')), match({ ...uri('/other'), port: 81 })], cors }), route({ matches: [match(uri('/open'))] })], [registration(40123), deny]);
      expect(filters).toEqual(['envoy.filters.http.rbac.DENY', 'envoy.filters.http.cors', 'envoy.filters.http.router']);
      expect(routes).toEqual([
        { name: 'api', match: { prefix: '/api' }, nonForwardingAction: {}, typedPerFilterConfig: { 'envoy.filters.http.cors': expect.objectContaining({ allowMethods: 'GET' }) as Json } },
        { name: 'default', match: { prefix: '/open' }, nonForwardingAction: {} },
        { name: 'default', match: { prefix: '/' }, nonForwardingAction: {} },
      ]);
    });

    it('up to the first route that takes everything, and not for matches of certain clients', () => {
      expect(hcmOf([route({ matches: [match({ sourceLabels: { app: 'a' } })], cors }), route({ name: 'all', cors }), route({ name: 'never' })]).routes.map(({ name }: Json) => name)).toEqual(['all']);
    });

    it('not at all where no route that forwards has a policy, or its service is not known', () => {
      const none = { filters: ['envoy.filters.http.router'], routes: [{ name: 'default', match: { prefix: '/' }, nonForwardingAction: {} }] };
      expect(hcmOf([route({ matches: [match(uri('/a'))] }), route({ cors, action: { kind: 'redirect', status: 301 } })])).toMatchObject(none);
      expect(hcmOf([route({ cors })], [])).toMatchObject(none);
    });

    it('with one policy where services share the port, which it says', () => {
      const twin = service('twin', { selector: { app: 'payments' }, ports: payments.ports });
      const { warnings } = hcmOf([route({ cors })], [registration(40123), twin, routeRule('twin', [twin.host], { http: [route({ cors })] })]);
      expect(warnings).toEqual([expect.stringContaining('corsPolicy of twin.default.svc.cluster.local is not used on the port that it shares with payments.default.svc.cluster.local')]);
    });
  });

  it('has the filter chains of its mTLS mode', () => {
    expect(protocols(inbound([]).listener)).toEqual(['tls', 'raw_buffer']);
    expect(protocols(inbound([peerPolicy('default', { mode: 'disable' })]).listener)).toEqual(['raw_buffer']);
    const { listener } = inbound([peerPolicy('default', { mode: 'strict' })]);
    expect(protocols(listener)).toEqual(['tls']);
    expect(listener.filterChains[0].transportSocket.typedConfig).toMatchObject({
      requireClientCertificate: true,
      commonTlsContext: { tlsCertificateProviderInstance: { instanceName: 'default' }, validationContext: { caCertificateProviderInstance: { instanceName: 'default', certificateName: 'ROOTCA' } } },
    });
  });

  it('takes portLevelMtls for the declared port when the bound one is ephemeral', () => {
    const policy = peerPolicy('port', { selector: { app: 'payments' }, mode: 'strict', ports: { 8080: 'disable' } });
    expect(protocols(inbound([policy, registration(40123)], 'weft/inbound/http/10.0.0.1:40123').listener)).toEqual(['raw_buffer']);
    expect(protocols(inbound([policy], 'weft/inbound/admin/10.0.0.1:40124').listener)).toEqual(['tls']);
    expect(inbound([policy, registration(40123)], 'weft/inbound/http/10.0.0.1:40123').listener.metadata.filterMetadata.istio.services).toHaveLength(1);
  });

  it('is there before it is registered, and for addresses nobody declared', () => {
    expect(inbound([]).listener.metadata.filterMetadata.istio.services).toEqual([]);
    expect(inbound([], 'weft/inbound/http/0.0.0.0:8080').listener.address.socketAddress.address).toBe('0.0.0.0');
    expect(inbound([], 'weft/inbound/http/[::1]:8080').listener.address.socketAddress.address).toBe('::1');
    const stranger = inbound([peerPolicy('default', { mode: 'strict' })], undefined, { node: { workload: '' } });
    expect(protocols(stranger.listener)).toEqual(['tls']);
  });

  it('is that of the Pod or WorkloadEntry with its address', () => {
    const entry = workload('w', '10.0.0.7', { labels: { app: 'payments' }, serviceAccount: 'payments' });
    const policy = peerPolicy('own', { selector: { app: 'payments' }, mode: 'strict' });
    const { listener } = inbound([entry, policy], 'weft/inbound/http/10.0.0.7:8080', { node: { addresses: ['10.0.0.7'] } });
    expect(protocols(listener)).toEqual(['tls']);
    expect(listener.metadata.filterMetadata.istio.workload).toBe('w;default;payments;latest;Kubernetes');
  });

  it('is not guessed where workloads share an address', () => {
    const [a, b] = ['a', 'b'].map((name, index) => workload(name, '127.0.0.1', { labels: { app: name }, serviceAccount: 'default', ports: { http: 7001 + index } }));
    const strict = peerPolicy('b', { selector: { app: 'b' }, mode: 'strict' });
    const at = (port: number) => inbound([a!, b!, strict], `weft/inbound/http/127.0.0.1:${port}`, { node: { addresses: ['127.0.0.1'] } });
    expect(protocols(at(7001).listener)).toEqual(['tls', 'raw_buffer']);
    expect(protocols(at(7002).listener)).toEqual(['tls']);
    expect(at(7003).listener).toBeUndefined();
    expect(at(7003).warnings).toEqual([expect.stringContaining('several workloads')]);
  });

  it('does not exist under a malformed name', () => {
    for (const name of ['weft/inbound/http/10.0.0.1', 'weft/inbound//10.0.0.1:80', 'weft/inbound/http/host:80', 'weft/inbound/http/::1:80', 'weft/inbound/http/10.0.0.1:0', 'weft/inbound/http/10.0.0.1:80/x']) {
      expect(inbound([], name).listener, name).toBeUndefined();
    }
  });

  it('is listed for what the client registered', () => {
    const context = contextOf([payments, group, registration(40123)], { node });
    expect(weftProfile.names('listener', context)).toEqual([`${payments.host}:80`, 'weft/inbound/http/10.0.0.1:40123']);
  });
});

describe('the listener of a gRPC server', () => {
  const grpc = (objects: ModelObject[], hasIdentity = true, name = 'xds.istio.io/grpc/lds/inbound/10.0.0.1:8080') => {
    const context = contextOf([payments, group, ...objects], { node: { ...node, hasIdentity } });
    const listener = generateJson(grpcProfile, 'listener', name, context);
    if (listener) expect(lintForGrpc('listener', listener)).toEqual([]);
    return { listener, warnings: context.warnings };
  };

  it('answers both spellings of the name', () => {
    expect(grpc([]).listener.address.socketAddress).toEqual({ address: '10.0.0.1', portValue: 8080 });
    expect(grpc([], true, 'grpc/server?xds.resource.listening_address=[::]:50051').listener.address.socketAddress).toEqual({ address: '::', portValue: 50051 });
    expect(grpc([], true, 'grpc/server?xds.resource.listening_address=%s').listener).toBeUndefined();
  });

  it('has one chain: TLS or plain text, and says what PERMISSIVE became', () => {
    expect(grpc([peerPolicy('default', { mode: 'strict' })]).listener.filterChains).toMatchObject([{ transportSocket: { typedConfig: { requireClientCertificate: true } } }]);
    expect(grpc([peerPolicy('default', { mode: 'disable' })]).listener.filterChains[0].transportSocket).toBeUndefined();
    const permissive = grpc([]);
    expect(permissive.listener.filterChains[0].transportSocket).toBeDefined();
    expect(permissive.warnings).toEqual([expect.stringContaining('only mTLS is accepted')]);
    expect(grpc([], false).listener.filterChains[0].transportSocket).toBeUndefined();
  });

  it('is withheld where STRICT cannot be had', () => {
    const { listener, warnings } = grpc([peerPolicy('default', { mode: 'strict' })], false);
    expect(listener).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining('withheld')]);
  });

  it('denies everything for an ALLOW policy without rules (istiod sends only a router)', () => {
    const filters = grpc([authorization('none')]).listener.filterChains[0].filters[0].typedConfig.httpFilters;
    expect(Object.values(filters[0].typedConfig.rules.policies)).toEqual([{ permissions: [{ notRule: { any: true } }], principals: [{ notId: { any: true } }] }]);
    expect(filters[0].isOptional).toBeUndefined();
  });
});
