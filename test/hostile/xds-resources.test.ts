// A control plane that went mad: whatever bytes it sends as a resource, a decoder takes them or says what is wrong, soon, and nothing else happens.
import { BinaryWriter, WireType } from '@weft/xds-api/protobuf/wire';
import { packAny } from '@weft/xds-api';
import { HttpConnectionManagerSchema } from '@weft/xds-api/http';
import { ClusterSchema } from '@weft/xds-api/cluster';
import { ListenerSchema } from '@weft/xds-api/listener';
import { RouteConfigurationSchema } from '@weft/xds-api/route';
import { afterEach, describe, expect, it } from 'vitest';
import { assignment, chain, clientListener, cluster, encode, endpoint, forwardTo, locality, manager, route, router, routes, serverListener, testTypes, upstreamTls } from '../../packages/data-plane/src/resource/testing.js';
import { secretType } from '../../packages/data-plane/src/resource/secret.js';
import type { ResourceType } from '../../packages/data-plane/src/xds/resource-type.js';
import { seededRandom } from '../support/random.js';

const types: Readonly<Record<string, ResourceType<unknown>>> = { ...testTypes(), secret: secretType };
const good: Readonly<Record<string, Uint8Array>> = {
  client: clientListener(),
  server: serverListener({ filterChains: [chain()] }),
  routes: forwardTo('a', 'b', 'c'),
  cluster: cluster({ transportSocket: upstreamTls() }),
  endpoints: assignment([locality('z', [endpoint('10.0.0.1'), endpoint('10.0.0.2')])]),
  secret: Buffer.from('0a01612206 0a041a02 6161'.replaceAll(' ', ''), 'hex'),
};

/** Milliseconds of processor time no input may cost more than, whatever else the machine does; far above what any does, far below what a loop or a backtrack would. */
const limitMs = 2000;

/** The error's message; undefined where it was taken. */
function decode(type: ResourceType<unknown>, bytes: Uint8Array): string | undefined {
  const before = process.cpuUsage();
  try {
    type.decode(bytes);
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    // An overflowed stack or exhausted memory is no answer.
    expect((error as Error).message).not.toMatch(/call stack|allocation failed|Invalid array length/i);
    return (error as Error).message;
  } finally {
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(limitMs);
  }
}

afterEach(() => {
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  expect(Object.keys(Object.prototype)).toEqual([]);
});

describe.each(Object.entries(types))('%s', (name, type) => {
  const bytes = good[name]!;

  it('random bytes', () => {
    const random = seededRandom();
    for (let i = 0; i < 3000; i += 1) expect(() => decode(type, random.bytes(random.below(200))), `WEFT_SEED=${random.seed}`).not.toThrow();
  });

  it('cut off at every byte', () => {
    for (let length = 0; length < bytes.length; length += 1) expect(() => decode(type, bytes.subarray(0, length)), `${length}`).not.toThrow();
  });

  it('one byte changed, one added, one missing', () => {
    const random = seededRandom();
    for (let i = 0; i < 3000; i += 1) {
      const mutated = Buffer.from(bytes);
      const at = random.below(mutated.length);
      mutated[at] = random.below(256);
      const variant = random.pick([mutated, Buffer.concat([mutated.subarray(0, at), random.bytes(1), mutated.subarray(at)]), Buffer.concat([mutated.subarray(0, at), mutated.subarray(at + 1)])]);
      expect(() => decode(type, variant), `WEFT_SEED=${random.seed}`).not.toThrow();
    }
  });

  it('a length that is not there', () => {
    for (const length of [2 ** 31 - 1, 2 ** 32 - 1]) expect(decode(type, new BinaryWriter().tag(1, WireType.LengthDelimited).uint32(length).finish())).toBeDefined();
  });

  it('groups and messages nested a hundred thousand deep', () => {
    const groups = Buffer.alloc(100_000, new BinaryWriter().tag(100, WireType.StartGroup).finish());
    decode(type, Buffer.concat([bytes, groups]));
  });

  it('a name that is not UTF-8', () => {
    expect(decode(type, Buffer.from([0x0a, 0x02, 0xff, 0xfe]))).toBeDefined();
  });
});

describe('nesting', () => {
  it('of matchers: 20,000 not-rules in each other', () => {
    let rules: Uint8Array = new BinaryWriter().uint32((3 << 3) | 0).bool(true).finish();
    // Permission.not_rule = 8
    for (let i = 0; i < 20_000; i += 1) rules = nested(8, rules);
    const policy = nested(1, rules);
    const entry = Buffer.concat([nested(1, Buffer.from('p')), nested(2, policy)]);
    const rbac = nested(1, nested(2, entry));
    const any = { typeUrl: 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC', value: rbac };
    const filter = { name: 'rbac', configType: { case: 'typedConfig', value: any } } as never;
    expect(decode(types['server']!, serverListener({ filterChains: [chain({ filters: [{ name: 'hcm', configType: { case: 'typedConfig', value: manager({ httpFilters: [filter, router] }) } }] } as never)] }))).toBeDefined();
  });

  it('of Any: a listener in a listener', () => {
    let inner = packAny(ListenerSchema, { name: 'x' });
    for (let i = 0; i < 500; i += 1) inner = packAny(ListenerSchema, { name: 'x', apiListener: { apiListener: inner } });
    expect(decode(types['client']!, encode(ListenerSchema, { name: 'x', apiListener: { apiListener: inner } }))).toMatch(/api_listener/);
  });
});

describe('size', () => {
  it('20,000 routes', () => {
    decode(types['routes']!, routes(Array.from({ length: 20_000 }, (_, i) => route({ match: { pathSpecifier: { case: 'prefix', value: `/${i}` } } }))));
  });

  it('50,000 endpoints', () => {
    decode(types['endpoints']!, assignment([locality('z', Array.from({ length: 50_000 }, (_, i) => endpoint(`10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`)))]));
  });

  it('a pattern that would cost seconds to match, and one too large to compile', () => {
    const regex = (text: string) => routes([route({ match: { pathSpecifier: { case: 'safeRegex', value: { regex: text } } } })]);
    expect(decode(types['routes']!, regex('(([^x]{1,10}){1,10}){1,10}'.repeat(20)))).toMatch(/safe_regex\.regex: .*it needs \d+ instructions, more than 5000/);
    expect(decode(types['routes']!, regex('('.repeat(5000) + ')'.repeat(5000)))).toMatch(/safe_regex\.regex: .*more than 4096/);
    expect(decode(types['routes']!, regex('(a)\\1'))).toMatch(/safe_regex\.regex: /);
  });
});

describe('names that mean something to JavaScript', () => {
  const evil = ['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'toString'];
  it.each(evil)('%s as resource, virtual host, cluster, metadata and filter override', (name) => {
    const struct = { fields: { polluted: { kind: { case: 'stringValue', value: 'yes' } } } } as never;
    decode(types['routes']!, encode(RouteConfigurationSchema, { name, virtualHosts: [{ name, domains: [name], typedPerFilterConfig: { [name]: packAny(HttpConnectionManagerSchema, {}) }, routes: [route({ metadata: { filterMetadata: { [name]: { polluted: 'yes' } } } } as never)] }] } as never));
    decode(types['cluster']!, cluster({ name, metadata: { filterMetadata: { [name]: { polluted: 'yes' } } } } as never));
    decode(types['endpoints']!, assignment([locality('z', [endpoint('10.0.0.1', 80, { metadata: { filterMetadata: { [name]: { polluted: 'yes' }, 'envoy.transport_socket_match': { [name]: struct } } } } as never)])], { clusterName: name }));
    decode(types['cluster']!, encode(ClusterSchema, { name, typedExtensionProtocolOptions: { [name]: packAny(ListenerSchema, {}) } }));
  });
});

function nested(field: number, value: Uint8Array): Uint8Array {
  return new BinaryWriter().tag(field, WireType.LengthDelimited).bytes(value).finish();
}
