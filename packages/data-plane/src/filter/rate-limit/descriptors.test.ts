import { expect, it } from 'vitest';
import type { RateLimitActionConfig, RateLimitConfig } from '../../resource/rate-limit-config.js';
import { requestHead, streamInfo } from '../../route/test-support.js';
import { applicableLimits, compileDescriptors } from './descriptors.js';

const limit = (actions: RateLimitActionConfig[], more: Partial<RateLimitConfig> = {}): RateLimitConfig => ({ stage: 0, disableKey: '', actions, ...more });
const context = { stage: 0, localCluster: 'me', routeMetadata: { billing: { plan: 'gold' } } };
const describeOne = (action: RateLimitActionConfig, info = {}, headers = {}) => compileDescriptors([limit([action])], context)!(requestHead('/p?q=1', headers), streamInfo(info))[0]?.entries;
const key = { key: 'k', path: ['a', 'b'] };

it.each<[RateLimitActionConfig, object, object, object[] | undefined]>([
  [{ kind: 'source-cluster' }, {}, {}, [{ key: 'source_cluster', value: 'me' }]],
  [{ kind: 'destination-cluster' }, { clusterName: 'c' }, {}, [{ key: 'destination_cluster', value: 'c' }]],
  [{ kind: 'remote-address' }, { downstreamRemoteAddress: '10.1.2.3:99' }, {}, [{ key: 'remote_address', value: '10.1.2.3' }]],
  [{ kind: 'remote-address' }, { downstreamRemoteAddress: '[2001:db8::1]:99' }, {}, [{ key: 'remote_address', value: '2001:db8::1' }]],
  [{ kind: 'remote-address' }, { downstreamRemoteAddress: '' }, {}, undefined],
  [{ kind: 'masked-remote-address', v4: 20, v6: 48 }, { downstreamRemoteAddress: '10.1.255.3:99' }, {}, [{ key: 'masked_remote_address', value: '10.1.240.0/20' }]],
  [{ kind: 'masked-remote-address', v4: 0, v6: 48 }, { downstreamRemoteAddress: '255.255.255.255:99' }, {}, [{ key: 'masked_remote_address', value: '0.0.0.0/0' }]],
  [{ kind: 'masked-remote-address', v4: 32, v6: 44 }, { downstreamRemoteAddress: '[2001:db8:abcd:1::1]:99' }, {}, [{ key: 'masked_remote_address', value: '2001:db8:abc0::/44' }]],
  [{ kind: 'request-header', header: ':path', key: 'p', skipIfAbsent: false }, {}, {}, [{ key: 'p', value: '/p?q=1' }]],
  [{ kind: 'request-header', header: 'a', key: 'h', skipIfAbsent: false }, {}, { a: ['1', '2'] }, [{ key: 'h', value: '1' }]],
  [{ kind: 'request-header', header: 'a', key: 'h', skipIfAbsent: false }, {}, {}, undefined],
  [{ kind: 'metadata', key: 'm', from: 'dynamic', metadata: key, default: '', skipIfAbsent: false }, { metadata: new Map([['k', { a: { b: 'v' } }]]) }, {}, [{ key: 'm', value: 'v' }]],
  [{ kind: 'metadata', key: 'm', from: 'dynamic', metadata: key, default: 'd', skipIfAbsent: false }, {}, {}, [{ key: 'm', value: 'd' }]],
  [{ kind: 'metadata', key: 'm', from: 'dynamic', metadata: key, default: '', skipIfAbsent: false }, {}, {}, undefined],
  [{ kind: 'metadata', key: 'm', from: 'route', metadata: { key: 'billing', path: ['plan'] }, default: '', skipIfAbsent: false }, {}, {}, [{ key: 'm', value: 'gold' }]],
  [{ kind: 'metadata', key: 'm', from: 'route', metadata: { key: 'constructor', path: ['name'] }, default: '', skipIfAbsent: false }, {}, {}, undefined],
])('%j with %j', (action, info, headers, entries) => {
  expect(describeOne(action, info, headers)).toEqual(entries);
});

it('an action that does not apply drops the whole descriptor, unless it may be left out; one of nothing is none', () => {
  const header = (skipIfAbsent: boolean): RateLimitActionConfig => ({ kind: 'request-header', header: 'a', key: 'a', skipIfAbsent });
  const generic: RateLimitActionConfig = { kind: 'generic-key', key: 'g', value: 'v' };
  const all = compileDescriptors([limit([generic, header(false)]), limit([generic, header(true)]), limit([header(true)])], context)!(requestHead(), streamInfo());
  expect(all).toEqual([{ entries: [{ key: 'g', value: 'v' }] }]);
});

it('only limits of the stage count, all of a filter\'s own', () => {
  const limits = [limit([{ kind: 'generic-key', key: 'a', value: '0' }]), limit([{ kind: 'generic-key', key: 'a', value: '1' }], { stage: 1 })];
  const values = (stage: number | 'any') => compileDescriptors(limits, { ...context, stage })?.(requestHead(), streamInfo()).map(({ entries }) => entries[0]?.value);
  expect([values(0), values(1), values(2), values('any')]).toEqual([['0'], ['1'], undefined, ['0', '1']]);
});

it('dynamic metadata may override the limit, where it has the form', () => {
  const describe = compileDescriptors([limit([{ kind: 'source-cluster' }], { limit: key })], context)!;
  const override = (b: unknown) => describe(requestHead(), streamInfo({ metadata: new Map([['k', { a: { b } }]]) }))[0]?.limit;
  expect(override({ requests_per_unit: 42, unit: 'HOUR' })).toEqual({ requestsPerUnit: 42, unit: 'HOUR' });
  expect([override({ requests_per_unit: '42', unit: 'HOUR' }), override('x'), override(undefined)]).toEqual([undefined, undefined, undefined]);
});

it('virtual hosts count instead, beside or not at all', () => {
  const [route, virtualHost] = [limit([], { stage: 1 }), limit([], { stage: 2 })];
  const stages = (own: boolean, option: 'override' | 'include' | 'ignore', includeVirtualHost = false) => applicableLimits({ route: own ? [route] : [], virtualHost: [virtualHost], includeVirtualHost }, option).map(({ stage }) => stage);
  expect([stages(true, 'override'), stages(false, 'override'), stages(true, 'include'), stages(true, 'ignore'), stages(false, 'ignore'), stages(true, 'ignore', true)]).toEqual([[1], [2], [1, 2], [1], [], [1, 2]]);
});
