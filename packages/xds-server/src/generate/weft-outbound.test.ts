import { describe, expect, it } from 'vitest';
import { routeRule, service, workload } from '../model/fixture.js';
import { contextOf, generateJson } from './fixture.js';
import { weftProfile } from './profile/weft.js';

const payments = service('payments', { ports: [{ number: 8080, name: 'http', protocol: 'http', targetPort: 8080 }], addresses: ['10.1.2.3'] });
const pod = workload('payments-1', '10.0.0.1', { labels: { app: 'payments', version: 'v1' }, serviceAccount: 'payments' });
const host = 'payments.default.svc.cluster.local';

describe('a Weft client that dials a service', () => {
  it('gets a listener under every name it may dial, that leads to one route configuration', () => {
    const context = contextOf([payments, pod]);
    for (const dialled of ['payments', 'payments.default', 'payments.default.svc', host, '10.1.2.3']) {
      const listener = generateJson(weftProfile, 'listener', `${dialled}:8080`, context);
      expect(listener.name).toBe(`${dialled}:8080`);
      expect(listener.apiListener.apiListener.rds).toEqual({ configSource: { ads: {}, resourceApiVersion: 'V3' }, routeConfigName: `outbound|8080||${host}` });
      expect(listener.apiListener.apiListener.httpFilters.map((filter: { name: string }) => filter.name)).toEqual(['envoy.filters.http.router']);
    }
  });

  it('gets nothing for unknown names, ports and spellings', () => {
    const context = contextOf([payments, pod]);
    for (const name of ['nosuch:8080', 'payments:8081', 'payments', 'Payments:8080', `${host}.:8080`, 'payments:08080', 'payments:0', 'payments:99999', 'pay ments:8080', '', 'payments|8080']) {
      expect(weftProfile.generate('listener', name, context), name).toBeUndefined();
    }
    for (const name of [`outbound|8080|${host}`, `inbound|8080||${host}`, `outbound|8080||${host}|`, 'outbound|8080||', `outbound|x||${host}`, `outbound|8081||${host}`, `outbound|8080|v9|${host}`]) {
      expect(weftProfile.generate('cluster', name, context), name).toBeUndefined();
      expect(weftProfile.generate('endpoint', name, context), name).toBeUndefined();
      expect(weftProfile.generate('route', name, context), name).toBeUndefined();
    }
  });

  it('reaches its own namespace’s declaration of a host that two namespaces have, each for itself', () => {
    const entry = (namespace: string, address: string, createdAt: number) => {
      const endpoint = workload(`${namespace}-1`, address, { namespace, via: 'inline' });
      return service('api', { namespace, host: 'api.example.com', cluster: false, exportTo: [namespace], resolution: 'static', selector: {}, endpoints: [endpoint], createdAt });
    };
    const objects = [entry('a', '10.0.0.1', 1), entry('b', '10.0.0.2', 2)];
    for (const [namespace, address] of [['a', '10.0.0.1'], ['b', '10.0.0.2']] as const) {
      const context = contextOf(objects, { node: { namespace } });
      const name = 'outbound|80||api.example.com';
      expect(generateJson(weftProfile, 'listener', 'api.example.com:80', context).apiListener.apiListener.rds.routeConfigName).toBe(name);
      expect(generateJson(weftProfile, 'route', name, context).virtualHosts[0].domains).toContain('api.example.com');
      expect(generateJson(weftProfile, 'cluster', name, context).name).toBe(name);
      expect(generateJson(weftProfile, 'endpoint', name, context).endpoints[0].lbEndpoints[0].endpoint.address.socketAddress.address).toBe(address);
    }
    const stranger = contextOf(objects, { node: { namespace: 'c' } });
    expect(weftProfile.generate('endpoint', 'outbound|80||api.example.com', stranger)).toBeUndefined();
  });

  it('reaches the only HTTP port of a service by the default port of a scheme', () => {
    const context = contextOf([payments, pod]);
    expect(generateJson(weftProfile, 'listener', 'payments:80', context).apiListener.apiListener.rds.routeConfigName).toBe(`outbound|8080||${host}`);
    const domains = generateJson(weftProfile, 'route', `outbound|8080||${host}`, context).virtualHosts[0].domains;
    expect(domains).toEqual(expect.arrayContaining(['payments', 'payments:8080', 'payments:80', 'payments:443']));
    const two = service('two', { ports: [{ number: 8080, name: 'http', protocol: 'http', targetPort: 1 }, { number: 9090, name: 'http-b', protocol: 'http', targetPort: 2 }] });
    expect(weftProfile.generate('listener', 'two:80', contextOf([two]))).toBeUndefined();
  });

  it('is answered by every spelling of its own namespace, with and without port', () => {
    const domainsFor = (namespace: string) => generateJson(weftProfile, 'route', `outbound|8080||${host}`, contextOf([payments], { node: { namespace } })).virtualHosts[0].domains;
    expect(domainsFor('default')).toEqual([host, 'payments.default.svc', 'payments.default', 'payments', '10.1.2.3'].flatMap((name) => [name, `${name}:8080`, `${name}:80`, `${name}:443`]));
    expect(domainsFor('other')).not.toContain('payments');
    expect(domainsFor('other')).toContain('payments.default:8080');
  });

  it('gets the default route: no timeout, Istio’s retries', () => {
    const config = generateJson(weftProfile, 'route', `outbound|8080||${host}`, contextOf([payments]));
    expect(config.virtualHosts).toHaveLength(1);
    expect(config.virtualHosts[0].name).toBe(`${host}:8080`);
    expect(config.virtualHosts[0].routes).toEqual([
      {
        name: 'default',
        match: { prefix: '/' },
        route: {
          cluster: `outbound|8080||${host}`,
          timeout: '0s',
          maxGrpcTimeout: '0s',
          retryPolicy: {
            retryOn: 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes',
            numRetries: 2,
            retryHostPredicate: [
              { name: 'envoy.retry_host_predicates.previous_hosts', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate' } },
            ],
            hostSelectionRetryMaxAttempts: '5',
          },
        },
      },
    ]);
  });

  it('gets an EDS cluster with mTLS chosen per endpoint', () => {
    const cluster = generateJson(weftProfile, 'cluster', `outbound|8080||${host}`, contextOf([payments, pod]));
    expect(cluster).toMatchObject({
      name: `outbound|8080||${host}`,
      type: 'EDS',
      edsClusterConfig: { edsConfig: { ads: {} }, serviceName: `outbound|8080||${host}` },
      connectTimeout: '10s',
      lbPolicy: 'LEAST_REQUEST',
      circuitBreakers: { thresholds: [{ maxConnections: 4294967295, maxPendingRequests: 4294967295, maxRequests: 4294967295, maxRetries: 4294967295, trackRemaining: true }] },
      metadata: { filterMetadata: { istio: { services: [{ host, name: 'payments', namespace: 'default' }] } } },
    });
    expect(cluster.transportSocketMatches).toEqual([
      {
        name: 'tlsMode-istio',
        match: { tlsMode: 'istio' },
        transportSocket: {
          name: 'envoy.transport_sockets.tls',
          typedConfig: {
            '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
            commonTlsContext: {
              tlsCertificateProviderInstance: { instanceName: 'default' },
              validationContext: {
                caCertificateProviderInstance: { instanceName: 'default', certificateName: 'ROOTCA' },
                matchSubjectAltNames: [{ exact: 'spiffe://cluster.local/ns/default/sa/payments' }],
              },
              alpnProtocols: ['istio', 'http/1.1'],
            },
            sni: `outbound_.8080_._.${host}`,
          },
        },
      },
      { name: 'tlsMode-disabled', match: {}, transportSocket: { name: 'envoy.transport_sockets.raw_buffer', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer' } } },
    ]);
  });

  it('learns the identity of each endpoint', () => {
    const plain = workload('payments-2', '10.0.0.2', { labels: { app: 'payments' } });
    const assignment = generateJson(weftProfile, 'endpoint', `outbound|8080||${host}`, contextOf([payments, pod, plain]));
    expect(assignment.clusterName).toBe(`outbound|8080||${host}`);
    const [locality] = assignment.endpoints;
    expect(locality).toMatchObject({ locality: {}, loadBalancingWeight: 2 });
    expect(locality.lbEndpoints).toEqual([
      {
        endpoint: { address: { socketAddress: { address: '10.0.0.1', portValue: 8080 } } },
        healthStatus: 'HEALTHY',
        loadBalancingWeight: 1,
        metadata: {
          filterMetadata: {
            istio: { workload: 'payments-1;default;payments;v1;Kubernetes' },
            'envoy.transport_socket_match': { tlsMode: 'istio' },
            weft: { spiffe_id: 'spiffe://cluster.local/ns/default/sa/payments' },
          },
        },
      },
      {
        endpoint: { address: { socketAddress: { address: '10.0.0.2', portValue: 8080 } } },
        healthStatus: 'HEALTHY',
        loadBalancingWeight: 1,
        metadata: { filterMetadata: { istio: { workload: 'payments-2;default;payments;latest;Kubernetes' } } },
      },
    ]);
  });

  it('is made once for all clients of a namespace', () => {
    const context = contextOf([payments, pod]);
    for (const [type, name] of [['listener', 'payments:8080'], ['route', `outbound|8080||${host}`], ['cluster', `outbound|8080||${host}`], ['endpoint', `outbound|8080||${host}`]] as const) {
      expect(weftProfile.generate(type, name, context)).toBeDefined();
    }
    expect([...context.facets]).toEqual(['namespace']);
  });

  it('lists what exists', () => {
    const context = contextOf([payments, pod, service('hidden', { namespace: 'other', exportTo: ['other'] })], { authorities: ['PEM'] });
    expect(weftProfile.names('listener', context)).toEqual([`${host}:8080`]);
    for (const type of ['route', 'cluster', 'endpoint'] as const) expect(weftProfile.names(type, context)).toEqual([`outbound|8080||${host}`]);
    expect(weftProfile.names('secret', context)).toEqual(['ROOTCA']);
    expect(weftProfile.generate('cluster', 'outbound|80||hidden.other.svc.cluster.local', context)).toBeUndefined();
  });

  it('answers a host that only a VirtualService names, on port 80', () => {
    const rule = routeRule('virtual', ['shop.default.svc.cluster.local'], {
      http: [{ name: '', matches: [], mirrors: [], action: { kind: 'route', destinations: [{ host, subset: '', port: 8080, weight: 1 }] } }],
    });
    const context = contextOf([payments, rule]);
    expect(generateJson(weftProfile, 'listener', 'shop:80', context).apiListener.apiListener.rds.routeConfigName).toBe('outbound|80||shop.default.svc.cluster.local');
    expect(weftProfile.generate('listener', 'shop:8080', context)).toBeUndefined();
    const [virtualHost] = generateJson(weftProfile, 'route', 'outbound|80||shop.default.svc.cluster.local', context).virtualHosts;
    expect(virtualHost.domains).toContain('shop:80');
    expect(virtualHost.routes[0].route.cluster).toBe(`outbound|8080||${host}`);
  });
});
