import { describe, expect, it } from 'vitest';
import { peerPolicy, routeRule, service, workload } from '../model/fixture.js';
import type { ModelObject } from '../model/model-object.js';
import { contextOf, generateJson, type Json, type TestMesh } from './fixture.js';
import { envoyProfile } from './profile/envoy.js';

const port = (number: number, protocol: 'http' | 'tcp' = 'http') => ({ number, name: `${protocol}-${number}`, protocol, targetPort: number });
const shop = service('shop', { ports: [port(80), port(8080), port(5432, 'tcp')] });
const cart = service('cart', { ports: [port(80)] });
const host = 'shop.default.svc.cluster.local';

function make(type: 'listener' | 'route' | 'cluster' | 'endpoint', name: string, objects: ModelObject[] = [], mesh: TestMesh = {}) {
  const context = contextOf([shop, cart, ...objects], mesh);
  return { config: generateJson(envoyProfile, type, name, context) as Json, context };
}

describe('an Envoy', () => {
  it('finds everything by wildcard', () => {
    const context = contextOf([shop, cart], { authorities: ['PEM'] });
    expect(envoyProfile.wildcard).toBe(true);
    expect(envoyProfile.names('listener', context)).toEqual(['127.0.0.1_80', '127.0.0.1_5432', '127.0.0.1_8080']);
    expect(envoyProfile.names('route', context)).toEqual(['80', '8080']);
    expect(envoyProfile.names('cluster', context)).toEqual(['outbound|80||cart.default.svc.cluster.local', `outbound|80||${host}`, `outbound|8080||${host}`, `outbound|5432||${host}`]);
    expect(envoyProfile.names('endpoint', context)).toEqual(envoyProfile.names('cluster', context));
    expect(envoyProfile.names('secret', context)).toEqual(['ROOTCA']);
  });

  it('listens on loopback, shifted where asked, under the same name', () => {
    const { config } = make('listener', '127.0.0.1_80', [], { node: { portOffset: 10_000 } });
    expect(config).toMatchObject({ name: '127.0.0.1_80', address: { socketAddress: { address: '127.0.0.1', portValue: 10_080 } } });
    expect(config.filterChains[0].filters[0].typedConfig.rds.routeConfigName).toBe('80');
    for (const name of ['127.0.0.1_81', '0.0.0.0_80', 'shop:80']) expect(make('listener', name).config, name).toBeUndefined();
    const high = make('listener', '127.0.0.1_8080', [], { node: { portOffset: 60_000 } });
    expect(high.config).toBeUndefined();
    expect(high.context.warnings).toHaveLength(1);
  });

  it('tells services of one port apart by host, and blocks every other', () => {
    const { config } = make('route', '80');
    expect(config.ignorePortInHostMatching).toBe(true);
    expect(config.virtualHosts.map((one: Json) => one.name)).toEqual(['cart.default.svc.cluster.local:80', `${host}:80`, 'block_all']);
    expect(config.virtualHosts[1].domains).toEqual([host, 'shop.default.svc', 'shop.default', 'shop']);
    expect(config.virtualHosts[2]).toEqual({ name: 'block_all', domains: ['*'], routes: [{ name: 'block_all', match: { prefix: '/' }, directResponse: { status: 502 } }] });
    expect(make('route', '81').config).toBeUndefined();
  });

  it('never sees a domain in two virtual hosts, which it would refuse', () => {
    const twin = service('twin', { host: 'twin.example.com', cluster: false, addresses: ['10.9.9.9'], ports: [port(80)] });
    const other = service('other', { host: 'other.example.com', cluster: false, addresses: ['10.9.9.9'], ports: [port(80)] });
    const domains = make('route', '80', [twin, other]).config.virtualHosts.flatMap((one: Json) => one.domains);
    expect(new Set(domains).size).toBe(domains.length);
    expect(domains).toContain('10.9.9.9');
  });

  it('knows hosts that only a VirtualService names, on port 80', () => {
    const http = [{ name: '', matches: [], mirrors: [], action: { kind: 'route', destinations: [{ host, subset: '', port: 8080, weight: 1 }] } as const }];
    const rules = [routeRule('front', ['www.shop.test', '*.old.test'], { http }), routeRule('bytes', ['raw.test'], { tcp: [] }), routeRule('hidden', ['hidden.test'], { http, exportTo: ['other'] })];
    const { config } = make('route', '80', rules);
    expect(config.virtualHosts.map((one: Json) => one.domains[0])).toEqual(['cart.default.svc.cluster.local', host, '*.old.test', 'www.shop.test', '*']);
    expect(config.virtualHosts[3].routes[0].route.cluster).toBe(`outbound|8080||${host}`);
    const alone = contextOf([rules[0]!, service('tcp', { ports: [port(5432, 'tcp')] })]);
    expect([envoyProfile.names('listener', alone), envoyProfile.names('route', alone)]).toEqual([['127.0.0.1_80', '127.0.0.1_5432'], ['80']]);
    const all = make('route', '80', [routeRule('all', ['*'], { http })]).config;
    expect(all.virtualHosts.map((one: Json) => one.name)).not.toContain('block_all');
  });

  it('takes keys from its own bootstrap and roots from us', () => {
    const { config } = make('cluster', `outbound|80||${host}`, [workload('a', '10.0.0.1', { labels: { app: 'shop' }, serviceAccount: 'shop' })]);
    expect(config.transportSocketMatches[0].transportSocket.typedConfig.commonTlsContext).toMatchObject({
      tlsCertificateSdsSecretConfigs: [{ name: 'default' }],
      combinedValidationContext: {
        defaultValidationContext: { matchTypedSubjectAltNames: [{ sanType: 'URI', matcher: { exact: 'spiffe://cluster.local/ns/default/sa/shop' } }] },
        validationContextSdsSecretConfig: { name: 'ROOTCA', sdsConfig: { ads: {} } },
      },
    });
  });

  it('is never led to speak plain text where mTLS is demanded', () => {
    const objects = [workload('a', '10.0.0.1', { labels: { app: 'shop' }, serviceAccount: 'shop' }), workload('b', '10.0.0.2', { labels: { app: 'shop' } }), peerPolicy('default', { mode: 'strict' })];
    const { config, context } = make('endpoint', `outbound|80||${host}`, objects);
    expect(config.endpoints.flatMap((group: Json) => group.lbEndpoints)).toHaveLength(1);
    expect(context.warnings).toEqual([expect.stringContaining('no service account')]);
    const anonymous = make('cluster', `outbound|80||${host}`, objects, { node: { hasIdentity: false } });
    expect(anonymous.config).toBeUndefined();
    expect(anonymous.context.warnings).toEqual([expect.stringContaining('withheld')]);
  });
});
