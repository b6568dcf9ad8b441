import { describe, expect, it } from 'vitest';
import type { Authorization, AuthorizationOperation, AuthorizationRule, AuthorizationSource } from '../model/authorization.js';
import { authorization, workloadGroup } from '../model/fixture.js';
import { contextOf, generateJson } from './fixture.js';
import { lintForGrpc } from './lint.js';
import { grpcProfile } from './profile/grpc.js';
import { weftProfile } from './profile/weft.js';
import { permits, type TestRequest } from './rbac-evaluate.js';

type Over = Partial<Omit<Authorization, 'type'>>;

const source = (over: Partial<AuthorizationSource>): AuthorizationSource => ({
  principals: [], notPrincipals: [], namespaces: [], notNamespaces: [], serviceAccounts: [], notServiceAccounts: [], ipBlocks: [], notIpBlocks: [], ...over,
});
const operation = (over: Partial<AuthorizationOperation>): AuthorizationOperation => ({
  hosts: [], notHosts: [], ports: [], notPorts: [], methods: [], notMethods: [], paths: [], notPaths: [], ...over,
});
const rule = (over: Partial<AuthorizationRule>): AuthorizationRule => ({ from: [], to: [], when: [], ...over });
const from = (over: Partial<AuthorizationSource>) => rule({ from: [source(over)] });
const to = (over: Partial<AuthorizationOperation>) => rule({ to: [operation(over)] });
const when = (key: string, values: string[], notValues: string[] = []) => rule({ when: [{ key, values, notValues }] });

const policy = (action: Authorization['action'], rules: AuthorizationRule[], over: Over = {}) => authorization(`${action}-${over.name ?? 'p'}`, { action, rules, ...over });

function server(policies: Authorization[], profile: 'weft' | 'grpc' = 'weft', boundPort = 8080, trustDomain = 'cluster.local') {
  const context = contextOf([workloadGroup('payments', { ports: { http: 8080 } }), ...policies], { settings: { trustDomain }, node: { workload: 'payments', addresses: ['10.0.0.1'] } });
  const name = profile === 'weft' ? `weft/inbound/http/10.0.0.1:${boundPort}` : `xds.istio.io/grpc/lds/inbound/10.0.0.1:${boundPort}`;
  const listener = generateJson(profile === 'weft' ? weftProfile : grpcProfile, 'listener', name, context);
  if (profile === 'grpc') expect(lintForGrpc('listener', listener)).toEqual([]);
  const filters = listener.filterChains[0].filters[0].typedConfig.httpFilters;
  // PERMISSIVE on a gRPC server has a warning of its own.
  const warnings = context.warnings.filter((warning) => !warning.includes('PERMISSIVE'));
  return { filters, warnings, allows: (request: TestRequest) => permits(filters, { port: boundPort, ...request }) };
}

const alice = 'spiffe://cluster.local/ns/shop/sa/alice';
const bob = 'spiffe://cluster.local/ns/shop/sa/bob';

for (const profile of ['weft', 'grpc'] as const) {
  describe(`authorization of ${profile} servers`, () => {
    const decide = (rules: AuthorizationRule[], action: Authorization['action'] = 'allow') => server([policy(action, rules)], profile).allows;

    it('allows everything without policies, and denies everything with an ALLOW policy without rules', () => {
      expect(server([], profile).allows({})).toBe(true);
      expect(decide([])({ principal: alice })).toBe(false);
      expect(decide([rule({})])({})).toBe(true);
      expect(decide([], 'deny')({})).toBe(true);
      expect(decide([rule({})], 'deny')({})).toBe(false);
    });

    it('denies before it allows, and denies what CUSTOM matches', () => {
      const both = server([policy('allow', [rule({})]), policy('deny', [to({ paths: ['/admin'] })])], profile);
      expect(both.allows({ path: '/admin' })).toBe(false);
      expect(both.allows({ path: '/' })).toBe(true);
      const custom = server([policy('custom', [to({ paths: ['/ext'] })]), policy('allow', [rule({})])], profile);
      expect(custom.allows({ path: '/ext' })).toBe(false);
      expect(custom.allows({ path: '/' })).toBe(true);
    });

    it('knows callers by principal', () => {
      for (const value of ['cluster.local/ns/shop/sa/alice', '*/sa/alice', 'cluster.local/ns/shop/sa/al*', '*']) {
        const allows = decide([from({ principals: [value] })]);
        expect(allows({ principal: alice }), value).toBe(true);
        expect(allows({}), value).toBe(false);
        if (value !== '*') expect(allows({ principal: bob }), value).toBe(false);
      }
    });

    it('takes cluster.local for the mesh’s trust domain', () => {
      const { allows } = server([policy('allow', [from({ principals: ['cluster.local/ns/shop/sa/alice'] })])], profile, 8080, 'corp.example');
      expect(allows({ principal: 'spiffe://corp.example/ns/shop/sa/alice' })).toBe(true);
      expect(allows({ principal: alice })).toBe(false);
    });

    it('knows namespaces and accounts as whole path segments, with metacharacters escaped', () => {
      const byNamespace = decide([from({ namespaces: ['shop'] })]);
      expect(byNamespace({ principal: alice })).toBe(true);
      for (const principal of ['spiffe://cluster.local/ns/shops/sa/alice', 'spiffe://cluster.local/ns/x/sa/ns/shop/a', 'spiffe://cluster.local/x/ns/shop/sa/alice']) expect(byNamespace({ principal }), principal).toBe(false);
      expect(decide([from({ namespaces: ['sh*'] })])({ principal: alice })).toBe(true);
      const dotted = decide([from({ serviceAccounts: ['shop/a.b'] })]);
      expect(dotted({ principal: 'spiffe://cluster.local/ns/shop/sa/a.b' })).toBe(true);
      for (const account of ['aXb', 'a.bc', 'a.b/c']) expect(dotted({ principal: `spiffe://cluster.local/ns/shop/sa/${account}` }), account).toBe(false);
      expect(decide([from({ principals: ['*/sa/a.b'] })])({ principal: 'spiffe://cluster.local/ns/shop/sa/aXb' })).toBe(false);
    });

    it('does not take "not alice" for leave to callers without identity', () => {
      for (const over of [{ notPrincipals: ['cluster.local/ns/shop/sa/alice'] }, { notNamespaces: ['other'] }, { notServiceAccounts: ['shop/alice'] }]) {
        expect(decide([from(over)])({ principal: bob })).toBe(true);
        expect(decide([from(over)])({})).toBe(false);
        expect(decide([from(over)], 'deny')({})).toBe(false);
      }
    });

    it('knows addresses', () => {
      const allows = decide([from({ ipBlocks: ['10.1.0.0/16', '192.168.0.7', 'fd00::/8'], notIpBlocks: ['10.1.2.0/24'] })]);
      for (const ip of ['10.1.3.1', '192.168.0.7', 'fd00::1']) expect(allows({ ip }), ip).toBe(true);
      for (const ip of ['10.1.2.1', '10.2.0.1', '192.168.0.8']) expect(allows({ ip }), ip).toBe(false);
    });

    it('knows methods, paths and hosts', () => {
      const allows = decide([to({ methods: ['GET'], paths: ['/a/*', '*/z', '/exact'], notPaths: ['/a/private'] })]);
      for (const path of ['/a/b', '/q/z', '/exact', '/exact?x=1']) expect(allows({ path }), path).toBe(true);
      for (const path of ['/a/private', '/exact/', '/b']) expect(allows({ path }), path).toBe(false);
      expect(allows({ path: '/exact', method: 'POST' })).toBe(false);
      const denies = decide([to({ hosts: ['admin.example.com', '*.internal'] })], 'deny');
      for (const authority of ['admin.example.com', 'ADMIN.example.com', 'admin.example.com:80', 'x.internal', 'X.INTERNAL:8443']) expect(denies({ authority }), authority).toBe(false);
      for (const authority of ['admin.example.com.evil', 'example.com']) expect(denies({ authority }), authority).toBe(true);
    });

    it('takes any of several sources and operations, and all of `when`', () => {
      const allows = decide([rule({ from: [source({ principals: ['*/sa/alice'] }), source({ principals: ['*/sa/bob'] })], to: [operation({ paths: ['/a'] }), operation({ methods: ['PUT'] })], when: [{ key: 'request.headers[X-Team]', values: ['red', 'bl*'], notValues: [] }, { key: 'source.ip', values: ['10.0.0.0/8'], notValues: [] }] })]);
      const ok: TestRequest = { principal: bob, path: '/a', headers: { 'x-team': 'blue' }, ip: '10.0.0.1' };
      expect(allows(ok)).toBe(true);
      expect(allows({ ...ok, path: '/b', method: 'PUT' })).toBe(true);
      for (const change of [{ headers: {} }, { headers: { 'x-team': 'green' } }, { ip: '11.0.0.1' }, { path: '/b' }, { principal: 'spiffe://cluster.local/ns/shop/sa/carol' }]) expect(allows({ ...ok, ...change }), JSON.stringify(change)).toBe(false);
    });

    it('means the declared port when the bound one is ephemeral', () => {
      for (const [action, hit] of [['allow', true], ['deny', false]] as const) {
        const { allows } = server([policy(action, [to({ ports: [8080] })])], 'weft', 40123);
        expect(allows({})).toBe(hit);
        expect(server([policy(action, [to({ ports: [40123] })])], 'weft', 40123).allows({})).toBe(!hit);
        expect(server([policy(action, [when('destination.port', ['8080'])])], 'weft', 40123).allows({})).toBe(hit);
      }
    });

    it('drops an ALLOW rule it cannot express, and widens a DENY rule', () => {
      const broken = [when('request.auth.claims[x]', ['1']), when('source.ip', ['not-an-ip']), when('request.headers[a]', []), from({ ipBlocks: ['10.0.0.0/33'] })];
      for (const one of broken) {
        const allowed = server([policy('allow', [one])], profile);
        expect(allowed.allows({ principal: alice }), JSON.stringify(one)).toBe(false);
        expect(allowed.warnings).toEqual([expect.stringContaining('rules[0]')]);
        expect(decide([one], 'deny')({}), JSON.stringify(one)).toBe(false);
        // The other rule of the policy still counts.
        expect(decide([one, to({ paths: ['/ok'] })])({ path: '/ok' })).toBe(true);
      }
      expect(decide([{ ...to({ paths: ['/admin'] }), when: when('request.auth.claims[x]', ['1']).when }], 'deny')({ path: '/other' })).toBe(true);
    });
  });
}

describe('authorization', () => {
  it('names policies as Istio does, sorted', () => {
    const { filters } = server([policy('allow', [rule({}), to({ paths: ['/x'] })], { name: 'b' }), policy('allow', [rule({})], { name: 'a', namespace: 'istio-system' })]);
    expect(filters.map((filter: { name: string }) => filter.name)).toEqual(['envoy.filters.http.rbac.ALLOW', 'envoy.filters.http.router']);
    expect(Object.keys(filters[0].typedConfig.rules.policies)).toEqual(['ns[default]-policy[b]-rule[0]', 'ns[default]-policy[b]-rule[1]', 'ns[istio-system]-policy[a]-rule[0]']);
  });

  it('evaluates a dry run without enforcing it', () => {
    const { filters, allows } = server([policy('allow', [], { dryRun: true })]);
    expect(allows({})).toBe(true);
    expect(filters[0].typedConfig).toMatchObject({ shadowRules: {}, shadowRulesStatPrefix: 'istio_dry_run_allow_' });
    const grpc = server([policy('allow', [], { dryRun: true })], 'grpc');
    expect(grpc.filters).toHaveLength(1);
    expect(grpc.warnings).toEqual([expect.stringContaining('without enforcing')]);
  });

  it('matches path templates, which gRPC cannot: there the rule goes, or grows', () => {
    const templates = [to({ paths: ['/users/{*}/orders', '/files/{**}'] })];
    const { allows } = server([policy('allow', templates)]);
    for (const path of ['/users/7/orders', '/files/a/b']) expect(allows({ path }), path).toBe(true);
    for (const path of ['/users/7/8/orders', '/users//orders']) expect(allows({ path }), path).toBe(false);
    expect(server([policy('allow', templates)], 'grpc').allows({ path: '/users/7/orders' })).toBe(false);
    expect(server([policy('deny', templates)], 'grpc').allows({ path: '/anything' })).toBe(false);
    for (const one of [when('connection.sni', ['x']), when('request.headers[grpc-timeout]', ['x'])]) expect(server([policy('deny', [one])], 'grpc').allows({})).toBe(false);
  });
});
