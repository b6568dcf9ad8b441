import { filterRoute } from '../../route/test-support.js';
import { create, toBinary, type MessageInitShape } from '@weft/xds-api/protobuf';
import { packAny } from '@weft/xds-api';
import { RBAC_Action, RBACFilterSchema, RBACPerRouteSchema, UriTemplateMatchConfigSchema, type PermissionSchema, type PolicySchema, type PrincipalSchema, type RBACSchema } from '@weft/xds-api/filter-rbac';
import { describe, expect, it } from 'vitest';
import type { LocalReply } from '../../stream/local-reply.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import { Stats } from '../../telemetry/stats.js';
import { prometheusText } from '../../telemetry/prometheus.js';
import { testHead, testInfo } from '../../telemetry/testing.js';
import { noBodies } from '../test-filters.js';
import { rbacFilter, type RbacFilterConfig } from './rbac.js';

type PermissionInit = MessageInitShape<typeof PermissionSchema>;
type PrincipalInit = MessageInitShape<typeof PrincipalSchema>;
type RbacInit = MessageInitShape<typeof RBACSchema>;

const anyone: PrincipalInit = { identifier: { case: 'any', value: true } };
const anything: PermissionInit = { rule: { case: 'any', value: true } };
const path = (value: string, kind: 'exact' | 'prefix' | 'suffix' = 'exact'): PermissionInit => ({ rule: { case: 'urlPath', value: { rule: { case: 'path', value: { matchPattern: { case: kind, value } } } } } });
const regex = (value: string): PermissionInit => ({ rule: { case: 'urlPath', value: { rule: { case: 'path', value: { matchPattern: { case: 'safeRegex', value: { regex: value } } } } } } });
const template = (value: string): PermissionInit => ({ rule: { case: 'uriTemplate', value: { name: 'uri_template', typedConfig: packAny(UriTemplateMatchConfigSchema, { pathTemplate: value }) } } });
const header = (name: string, value: string, invertMatch = false): PermissionInit => ({ rule: { case: 'header', value: { name, invertMatch, headerMatchSpecifier: { case: 'stringMatch', value: { matchPattern: { case: 'exact', value } } } } } });
const not = (rule: PermissionInit): PermissionInit => ({ rule: { case: 'notRule', value: rule } });
const from = (spiffeId: string): PrincipalInit => ({ identifier: { case: 'authenticated', value: { principalName: { matchPattern: { case: 'exact', value: spiffeId } } } } });
const ip = (addressPrefix: string, prefixLen: number): PrincipalInit => ({ identifier: { case: 'directRemoteIp', value: { addressPrefix, prefixLen } } });
const policy = (permissions: PermissionInit[], principals: PrincipalInit[] = [anyone]): MessageInitShape<typeof PolicySchema> => ({ permissions, principals });
const rules = (action: 'ALLOW' | 'DENY' | 'LOG', ...policies: ReturnType<typeof policy>[]): RbacInit => ({ action: RBAC_Action[action], policies: Object.fromEntries(policies.map((item, index) => [`p${index}`, item])) });

function parse(init: MessageInitShape<typeof RBACFilterSchema>): RbacFilterConfig {
  return rbacFilter.parse('', toBinary(RBACFilterSchema, create(RBACFilterSchema, init)));
}

function run(init: MessageInitShape<typeof RBACFilterSchema>, request: Parameters<typeof testHead>[0] = {}, info: Partial<StreamInfo> = {}, stats?: Stats) {
  const filter = rbacFilter.create({ random: () => 0, now: () => 0, setTimeout: () => ({ cancel() {} }), ...(stats && { stats }) });
  const streamInfo = testInfo(info);
  const reply = filter.forRoute(parse(init), undefined, filterRoute())?.().decodeHeaders?.(testHead(request), streamInfo, noBodies) as LocalReply | undefined;
  return { reply, info: streamInfo, status: reply?.status ?? 200 };
}

const express = { caseSensitive: false, strict: false, decodes: false };
const fastify = { caseSensitive: true, strict: true, decodes: true };
const admin = { spiffeId: 'spiffe://cluster.local/ns/shop/sa/admin', trustDomain: 'cluster.local' };

describe('the verdict', () => {
  it('of ALLOW without policies is no; of DENY and LOG without policies it is yes', () => {
    expect([run({ rules: rules('ALLOW') }).status, run({ rules: rules('DENY') }).status, run({ rules: rules('LOG') }).status, run({}).status]).toEqual([403, 200, 200, 200]);
  });

  it('names the policy, the first by name', () => {
    const denied = run({ rules: rules('DENY', policy([path('/b')]), policy([anything]), policy([anything])) }, { path: '/a' });
    expect(denied.reply).toMatchObject({ status: 403, body: 'RBAC: access denied', details: 'rbac_access_denied_matched_policy[p1]' });
    expect(run({ rules: rules('ALLOW', policy([path('/b')])) }).reply?.details).toBe('rbac_access_denied_matched_policy[none]');
  });

  it('of shadow rules only counts', () => {
    const stats = new Stats();
    const { status, info } = run({ shadowRules: rules('ALLOW'), shadowRulesStatPrefix: 'istio_dry_run_allow_', rules: rules('ALLOW', policy([anything])) }, {}, {}, stats);
    expect(status).toBe(200);
    expect(info.metadata?.get('envoy.filters.http.rbac')).toEqual({ istio_dry_run_allow_shadow_engine_result: 'denied', enforced_engine_result: 'allowed', enforced_effective_policy_id: 'p0' });
    expect(prometheusText(stats)).toMatch(/envoy_http_rbac_allowed 1[^]*envoy_http_rbac_istio_dry_run_allow_shadow_denied 1/);
  });

  it('of a route override replaces the filter, and an empty override switches it off', () => {
    const filter = rbacFilter.create({ random: () => 0, now: () => 0, setTimeout: () => ({ cancel() {} }) });
    const override = (init: MessageInitShape<typeof RBACPerRouteSchema>) => rbacFilter.parseOverride!('', toBinary(RBACPerRouteSchema, create(RBACPerRouteSchema, init)));
    const denyAll = parse({ rules: rules('ALLOW') });
    expect(filter.forRoute(denyAll, override({}), filterRoute())).toBeUndefined();
    expect(filter.forRoute(denyAll, override({ rbac: { rules: rules('DENY') } }), filterRoute())!().decodeHeaders!(testHead(), testInfo(), noBodies)).toBeUndefined();
  });
});

describe('who', () => {
  const onlyAdmin = { rules: rules('ALLOW', policy([anything], [from(admin.spiffeId)])) };
  it.each([
    ['the right identity', { peer: admin }, 200],
    ['another identity', { peer: { ...admin, spiffeId: `${admin.spiffeId}2` } }, 403],
    ['plain text', {}, 403],
  ])('%s', (_name, info, status) => expect(run(onlyAdmin, {}, info).status).toBe(status));

  it('an authenticated rule without a name needs some identity', () => {
    const init = { rules: rules('ALLOW', policy([anything], [{ identifier: { case: 'authenticated', value: {} } }])) };
    expect([run(init, {}, { peer: admin }).status, run(init).status]).toEqual([200, 403]);
  });

  it.each([
    ['10.0.0.9:1', '10.0.0.0', 8, 200], ['11.0.0.9:1', '10.0.0.0', 8, 403], ['[2001:db8::1]:1', '2001:db8::', 32, 200], ['[2001:db9::1]:1', '2001:db8::', 32, 403], ['10.0.0.9:1', '2001:db8::', 32, 403], ['8.8.8.8:1', '0.0.0.0', 0, 200], ['8.8.8.8:1', '::', 0, 403],
  ])('address %s in %s/%i', (downstreamRemoteAddress, prefix, length, status) => {
    expect(run({ rules: rules('ALLOW', policy([anything], [ip(prefix, length)])) }, {}, { downstreamRemoteAddress }).status).toBe(status);
  });

  it('a destination port is the one of the socket', () => {
    const init = { rules: rules('ALLOW', policy([{ rule: { case: 'destinationPort', value: 8080 } }])) };
    expect([run(init).status, run(init, {}, { downstreamLocalAddress: '[::1]:8081' }).status]).toEqual([200, 403]);
  });
});

describe('paths: DENY takes every spelling of the router, ALLOW only the one of the rule', () => {
  it.each([
    // rule, path, router, DENY answers, ALLOW answers
    [path('/admin'), '/admin', undefined, 403, 200], [path('/admin'), '/admin?x=1', undefined, 403, 200],
    [path('/admin'), '/Admin', undefined, 200, 403], [path('/admin'), '/Admin', express, 403, 403], [path('/Admin'), '/admin/', express, 403, 403], [path('/admin/'), '/admin', express, 403, 403],
    [path('/admin', 'prefix'), '/ADMIN/users', express, 403, 403], [path('/secret', 'suffix'), '/a/secret/', express, 403, 403], [path('/public'), '/admin', express, 200, 403],
    [regex('/adm.*'), '/ADMIN', express, 403, 403], [regex('/a|/b'), '/B', express, 403, 403], [template('/users/*/key'), '/Users/a*b/key', express, 403, 403], [template('/users/*'), '/users/1/2', express, 200, 403],
    [path('/{x}'), '/%7Bx%7D', fastify, 403, 403], [path('/caf\u00e9'), '/caf%C3%A9', fastify, 403, 403], [path('/admin'), '/Admin', fastify, 200, 403], [path('/admin'), '/admin/', fastify, 200, 403],
  ] as const)('%#', (rule, requested, router, deny, allow) => {
    const info = router ? { router } : {};
    expect([run({ rules: rules('DENY', policy([rule])) }, { path: requested }, info).status, run({ rules: rules('ALLOW', policy([rule])) }, { path: requested }, info).status]).toEqual([deny, allow]);
  });

  it('what only the path as it is matches is denied, too', () => {
    expect(run({ rules: rules('DENY', policy([regex('/[^a].*')])) }, { path: '/Admin' }, { router: express }).status).toBe(403);
  });

  it('under a not it is the other way round', () => {
    const allBut = { rules: rules('ALLOW', policy([not(path('/admin'))])) };
    const onlyPublic = { rules: rules('DENY', policy([not(path('/public'))])) };
    expect([run(allBut, { path: '/ADMIN/' }, { router: express }).status, run(allBut, { path: '/x' }, { router: express }).status]).toEqual([403, 200]);
    expect([run(onlyPublic, { path: '/PUBLIC' }, { router: express }).status, run(onlyPublic, { path: '/public' }, { router: express }).status]).toEqual([403, 200]);
  });
});

describe('headers', () => {
  it.each([
    ['DENY', { x: ['a', 'b'] }, 403], ['DENY', { x: 'b' }, 200], ['DENY', {}, 200], ['DENY', { x: 'A' }, 200], ['ALLOW', { x: 'a' }, 200], ['ALLOW', { x: ['a', 'b'] }, 200], ['ALLOW', { x: ['c', 'b'] }, 403], ['ALLOW', {}, 403],
  ] as const)('%s x=a with %j', (action, headers, status) => expect(run({ rules: rules(action, policy([header('x', 'a')])) }, { headers: headers as never }).status).toBe(status));

  it('an inverted match on a missing header is no match', () => {
    expect(run({ rules: rules('DENY', policy([header('x', 'a', true)])) }).status).toBe(200);
    expect(run({ rules: rules('DENY', policy([not(header('x', 'a'))])) }).status).toBe(403);
  });

  it.each(['Admin.example.com', 'admin.example.com.', 'admin.example.com:80', 'ADMIN.example.com.:8080'])('a host to deny is found as %s', (authority) => {
    expect(run({ rules: rules('DENY', policy([header(':authority', 'admin.example.com')])) }, { authority }).status).toBe(403);
    expect(run({ rules: rules('ALLOW', policy([header(':authority', 'admin.example.com')])) }, { authority }).status).toBe(403);
  });

  it('a host that an inverted matcher denies is denied in every case', () => {
    const otherThanA = { rules: rules('DENY', policy([header(':authority', 'a', true)])) };
    expect(['A', 'a', 'b'].map((authority) => run(otherThanA, { authority }).status)).toEqual([403, 200, 403]);
  });

  // As a real Envoy 1.40 answers (docs/envoy-differences.md), but where a comment says so.
  it.each<[matches: boolean, string, ReturnType<typeof header>]>([
    [true, 'exact of one value', header('x', 'a')], [true, 'exact of the other', header('x', 'b')], [false, 'exact of none', header('x', 'c')], [false, 'exact of all joined', header('x', 'a,b')],
    [false, 'inverted, of one value', header('x', 'a', true)], [true, 'inverted, of none', header('x', 'c', true)], [true, 'inverted, of all joined', header('x', 'a,b', true)],
  ])('a repeated header matches (%s): %s', (matches, name, rule) => {
    const request = { headers: { x: ['a', 'b'] } };
    const status = (action: 'ALLOW' | 'DENY', permission: typeof rule) => run({ rules: rules(action, policy([permission])) }, request).status === 200;
    expect([status('ALLOW', rule), status('DENY', not(rule))]).toEqual([matches, matches]);
    // Envoy: only where none of the values matches. That one of them does not is enough to deny, or not to be excepted.
    const wide = matches || name === 'inverted, of one value';
    expect([status('DENY', rule), status('ALLOW', not(rule))]).toEqual([!wide, !wide]);
  });

  it('bytes above 0x7f do not make a pattern fail open', () => {
    expect(run({ rules: rules('DENY', policy([{ rule: { case: 'header', value: { name: 'x', headerMatchSpecifier: { case: 'safeRegexMatch', value: { regex: '.*evil.*' } } } } }])) }, { headers: { x: '\xff evil \x80' } }).status).toBe(403);
  });
});

describe('what cannot be evaluated is rejected, with its path', () => {
  it.each<[string, RbacInit, string]>([
    ['a CEL condition', { policies: { p: { permissions: [anything], principals: [anyone], condition: {} } } }, 'rules.policies["p"].condition: not supported'],
    ['metadata without a path', { policies: { p: policy([{ rule: { case: 'metadata', value: {} } }]) } }, 'rules.policies["p"].permissions[0].metadata.filter: must not be empty'],
    ['filter state', { policies: { p: policy([anything], [{ identifier: { case: 'notId', value: { identifier: { case: 'filterState', value: {} } } } }]) } }, 'principals[0].not_id.filter_state: not supported'],
    ['no rule', { policies: { p: policy([{}]) } }, 'permissions[0]: has no rule'],
    ['no principals', { policies: { p: policy([anything], []) } }, 'principals: must not be empty'],
    ['not RE2', { policies: { p: policy([regex('(?=a)')]) } }, 'safe_regex.regex: not a RE2 pattern'],
    ['a bad template', { policies: { p: policy([template('x')]) } }, 'rules: a URI template starts with /'],
    ['a bad address', { policies: { p: policy([anything], [ip('10.0.0', 8)]) } }, 'address_prefix: "10.0.0" is not an IP address'],
  ])('%s', (_name, value, message) => expect(() => parse({ rules: value })).toThrow(message));
});
