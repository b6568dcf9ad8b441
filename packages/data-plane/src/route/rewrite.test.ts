import { describe, expect, it } from 'vitest';
import type { ForwardActionConfig, RedirectConfig, RouteMatchConfig } from '../resource/route-config.js';
import { Host } from '../upstream/host.js';
import { noCluster } from '../upstream/test-support.js';
import { compileRedirect } from './redirect.js';
import { compileRewrite, rewriteForHost } from './rewrite.js';
import { forward, prefix, requestHead, streamInfo } from './test-support.js';

const action = (more: Partial<ForwardActionConfig>) => forward('c', more) as ForwardActionConfig & { kind: 'route' };
const exact = (value: string): RouteMatchConfig['path'] => ({ kind: 'exact', value, caseSensitive: true });

describe('path rewrites', () => {
  it.each<[RouteMatchConfig['path'], Partial<ForwardActionConfig>, string, string]>([
    [prefix('/a'), { prefixRewrite: '/b' }, '/a/x?q=/a', '/b/x?q=/a'],
    [prefix('/a/'), { prefixRewrite: '/' }, '/a/x', '/x'],
    [prefix('/a', false), { prefixRewrite: '/b' }, '/Ab', '/bb'],
    [exact('/a'), { prefixRewrite: '/b' }, '/a?q', '/b?q'],
    [{ kind: 'path-separated-prefix', value: '/a', caseSensitive: true }, { prefixRewrite: '/b' }, '/a/c', '/b/c'],
    [{ kind: 'regex', value: '/x/.*' }, { prefixRewrite: '/whole' }, '/x/y?q', '/whole?q'],
    [prefix('/'), { regexRewrite: { pattern: '^/(\\w+)/', substitution: '/v2/\\1/' } }, '/a/b?/a/', '/v2/a/b?/a/'],
  ])('%j with %j: %s becomes %s', (path, config, from, to) => {
    const head = requestHead(from);
    compileRewrite(path, action(config))?.(head, streamInfo());
    expect(head.path).toBe(to);
    expect(head.headers.get('x-envoy-original-path')).toBe(from);
  });

  it('replace an empty match nowhere beside another (RE2)', () => {
    const head = requestHead('/a/b');
    compileRewrite(prefix('/'), action({ regexRewrite: { pattern: '.*', substitution: '/n' } }))?.(head, streamInfo());
    expect(head.path).toBe('/n');
  });

  it('exclude each other', () => {
    expect(() => compileRewrite(prefix('/'), action({ prefixRewrite: '/', regexRewrite: { pattern: 'a', substitution: 'b' } }))).toThrow(/exclude each other/);
  });
});

describe('host rewrites', () => {
  it('literal, from a header, from the path before its rewrite', () => {
    const of = (config: Partial<ForwardActionConfig>, headers = {}) => {
      const head = requestHead('/shop/x', headers);
      compileRewrite(prefix('/shop'), action(config))?.(head, streamInfo());
      return head;
    };
    expect(of({ hostRewrite: { kind: 'literal', value: 'other' } }).authority).toBe('other');
    expect(of({ hostRewrite: { kind: 'header', header: 'X-Host' } }, { 'x-host': 'h' }).authority).toBe('h');
    expect(of({ hostRewrite: { kind: 'header', header: 'X-Host' } }).authority).toBe('payments');
    expect(of({ prefixRewrite: '/new', hostRewrite: { kind: 'path-regex', regex: { pattern: '^/(\\w+)/.*$', substitution: '\\1.local' } } }).authority).toBe('shop.local');
  });

  it('keep the old name in x-envoy-original-host, and read the first value of a header', () => {
    const head = requestHead('/', { 'x-host': ['h', 'i'] });
    compileRewrite(prefix('/'), action({ hostRewrite: { kind: 'header', header: 'x-host' } }))?.(head, streamInfo());
    expect([head.authority, head.headers.all('x-envoy-original-host')]).toEqual(['h', ['payments']]);
  });

  it('keep the old name in x-forwarded-host where asked to, once', () => {
    const head = requestHead();
    const rewrite = compileRewrite(prefix('/'), action({ hostRewrite: { kind: 'literal', value: 'other' }, appendXForwardedHost: true }));
    rewrite?.(head, streamInfo());
    head.authority = 'payments';
    rewrite?.(head, streamInfo());
    expect(head.headers.all('x-forwarded-host')).toEqual(['payments']);
  });

  it('a template without variables takes what matches', () => {
    const head = requestHead('/a?q=1');
    compileRewrite({ kind: 'uri-template', value: '/*' }, action({ templateRewrite: '/new' }))!(head, streamInfo());
    expect(head.path).toBe('/new?q=1');
  });

  it('auto takes the name of the endpoint, where it has one', () => {
    const host = (hostname: string) => new Host(noCluster, '10.0.0.1:80', { address: '10.0.0.1', port: 80, hostname, weight: 1, health: 'healthy', metadata: {}, identityMissing: false });
    const head = requestHead();
    rewriteForHost(head, action({ hostRewrite: { kind: 'auto' } }), host(''));
    expect(head.authority).toBe('payments');
    rewriteForHost(head, action({}), host('api.example.com'));
    expect(head.authority).toBe('payments');
    rewriteForHost(head, action({ hostRewrite: { kind: 'auto' } }), host('api.example.com'));
    expect(head.authority).toBe('api.example.com');
  });
});

describe('redirects', () => {
  const location = (config: Partial<RedirectConfig>, path = '/a?q=1', authority = 'shop', scheme: 'http' | 'https' = 'http') => {
    const reply = compileRedirect(prefix('/a'), { status: 301, https: false, stripQuery: false, ...config })(requestHead(path, {}, { authority, scheme }), streamInfo());
    return reply.headers?.[0]?.[1];
  };
  it('let the formatters of the response see the path as it is rewritten', () => {
    const head = requestHead('/a/b?q=1');
    compileRedirect(prefix('/a'), { status: 301, https: false, stripQuery: false, prefixRewrite: '/n' })(head, streamInfo());
    expect([head.path, head.headers.get('x-envoy-original-path')]).toEqual(['/n/b?q=1', '/a/b?q=1']);
  });

  it.each<[Partial<RedirectConfig>, string, string, string]>([
    [{ https: true }, 'shop', '/a?q=1', 'https://shop/a?q=1'],
    [{ https: true }, 'shop:80', '/a', 'https://shop/a'],
    [{ https: true }, 'shop:8080', '/a', 'https://shop:8080/a'],
    [{ https: true, port: 8443 }, 'shop:8080', '/a', 'https://shop:8443/a'],
    [{ https: true }, '[::1]:80', '/a', 'https://[::1]/a'],
    [{}, 'shop:80', '/a', 'http://shop:80/a'],
    [{ scheme: 'ftp' }, 'shop', '/a', 'ftp://shop/a'],
    [{ host: 'other' }, 'shop:8080', '/a', 'http://other/a'],
    [{ host: 'other', port: 81 }, 'shop', '/a', 'http://other:81/a'],
    [{ path: '/new' }, 'shop', '/a?q=1', 'http://shop/new?q=1'],
    [{ path: '/new', stripQuery: true }, 'shop', '/a?q=1', 'http://shop/new'],
    [{ path: '/new?own=1', stripQuery: true }, 'shop', '/a?q=1', 'http://shop/new?own=1'],
    [{ path: 'new' }, 'shop', '/a', 'http://shop/new'],
    [{ prefixRewrite: '/b' }, 'shop', '/a/c?q=1', 'http://shop/b/c?q=1'],
    [{ prefixRewrite: '/b', stripQuery: true }, 'shop', '/a/c?q=1', 'http://shop/b/c'],
    [{ regexRewrite: { pattern: '/a', substitution: '/z' } }, 'shop', '/a?/a', 'http://shop/z?/a'],
    [{ stripQuery: true }, 'shop', '/a?q=1', 'http://shop/a'],
  ])('%j on %s%s goes to %s', (config, authority, path, expected) => {
    expect(location(config, path, authority)).toBe(expected);
  });

  it('drop port 443 on the way to http', () => {
    expect(location({ scheme: 'http' }, '/a', 'shop:443', 'https')).toBe('http://shop/a');
  });

  it('have one of five statuses', () => {
    for (const status of [301, 302, 303, 307, 308]) expect(compileRedirect(prefix('/'), { status, https: true, stripQuery: false })(requestHead(), streamInfo())).toMatchObject({ status, details: 'direct_response' });
    expect(() => compileRedirect(prefix('/'), { status: 200, https: true, stripQuery: false })).toThrow(/200/);
  });
});
