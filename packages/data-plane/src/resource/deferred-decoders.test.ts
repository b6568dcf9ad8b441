import { describe, expect, it } from 'vitest';
import { DeferredDecoders } from './deferred-decoders.js';
import { makeDecoders, type DecoderOptions } from './decoders.js';
import { endpointPolicy } from './endpoint-policy.js';
import { assignment, endpoint, locality } from './testing.js';

const options: DecoderOptions = { filters: [], loadBalancers: [], certificateProviders: new Set(), policy: endpointPolicy({ allowLoopback: false }) };

describe('deferred decoders', () => {
  it('describe the same types as the real ones', () => {
    const described = (types: object) => Object.entries(types).map(([key, { typeUrl, name, fullState }]) => [key, typeUrl, name, fullState]);
    expect(described(new DeferredDecoders(options).types)).toEqual(described(makeDecoders(options).types));
  });

  it('decode once they are loaded', async () => {
    const decoders = new DeferredDecoders(options);
    const bytes = assignment([locality('z', [endpoint('10.0.0.1')])]);
    expect(() => decoders.types.endpoints.decode(bytes)).toThrow('not loaded');
    await Promise.all([decoders.load(), decoders.load()]);
    expect(decoders.types.endpoints.decode(bytes).resource.localities).toHaveLength(1);
    expect(new Set(decoders.loadBalancers).size).toBe(decoders.loadBalancers.length);
  });

  it('say which extension of the application does not fit', async () => {
    const router = { name: 'envoy.filters.http.router', typeUrls: [], sides: ['client' as const], parse: () => ({}), create: () => ({ forRoute: () => undefined }) };
    await expect(new DeferredDecoders({ ...options, filters: [router] }).load()).rejects.toMatchObject({ code: 'WEFT_BOOTSTRAP_INVALID', message: expect.stringMatching(/two HTTP filters are named envoy.filters.http.router/) });
  });
});
