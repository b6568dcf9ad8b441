import { describe, expect, it } from 'vitest';
import { HeaderMap } from '../stream/header-map.js';
import { sanitizeHeaders } from './sanitize.js';

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

function sanitized(...raw: string[]): HeaderMap {
  const headers = HeaderMap.from(raw);
  sanitizeHeaders(headers);
  return headers;
}

describe('headers of a peer', () => {
  it.each(['X-Forwarded-Client-Cert', 'x_forwarded_client_cert', 'x-envoy-original-path', 'X-Envoy-Retry-On', 'x-weft-anything', 'x_envoy-peer_metadata'])('%s is taken away, however often it is there', (name) => {
    expect([...sanitized(name, 'a', 'keep', 'b', name.toUpperCase(), 'c')].map(([key]) => key)).toEqual(['keep', 'x-request-id']);
  });

  it('the identity is set from the connection alone', () => {
    const headers = HeaderMap.from({ 'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/root/sa/admin' });
    sanitizeHeaders(headers, { clientCertificate: 'URI=spiffe://cluster.local/ns/shop/sa/web' });
    expect(headers.all('x-forwarded-client-cert')).toEqual(['URI=spiffe://cluster.local/ns/shop/sa/web']);
  });

  it.each(['host', 'authorization'])('%s twice is refused', (name) => {
    expect(sanitizeHeaders(HeaderMap.from([name, 'a', name, 'b']))).toMatchObject({ status: 400 });
  });

  it.each([['a b'], ['x'.repeat(129)], ['\u00e9'], ['']])('a request id of %j is replaced', (id) => expect(sanitized('x-request-id', id).all('x-request-id')).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/)]));

  it('a good request id stays, two do not', () => {
    expect(sanitized('x-request-id', 'abc').all('x-request-id')).toEqual(['abc']);
    expect(sanitized('x-request-id', 'a', 'x-request-id', 'b').all('x-request-id')).toEqual([expect.stringMatching(/-/)]);
  });

  it.each([[[traceparent], true], [[traceparent, traceparent], false], [['junk'], false]] as const)('traceparent %j', (values, kept) => {
    const headers = sanitized(...values.flatMap((value) => ['traceparent', value]), 'tracestate', 'a=b');
    expect([headers.has('traceparent'), headers.has('tracestate')]).toEqual([kept, kept]);
  });

  it('baggage is bounded', () => {
    expect([sanitized('baggage', 'a=b').has('baggage'), sanitized('baggage', 'x'.repeat(8193)).has('baggage')]).toEqual([true, false]);
  });

  it('Connection cannot name what we set', () => {
    expect(sanitized('connection', 'close, X-Request-Id').get('connection')).toBe('close');
    expect(sanitized('connection', 'x-forwarded-client-cert').has('connection')).toBe(false);
  });
});
