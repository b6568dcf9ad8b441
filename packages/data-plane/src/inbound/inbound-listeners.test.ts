import { beforeEach, describe, expect, it } from 'vitest';
import type { HttpConnectionManagerConfig } from '../resource/listener-config.js';
import { currentContext } from '../context/request-context.js';
import type { HttpFilterConfig } from '../resource/listener-config.js';
import { noMutations } from '../resource/route-config.js';
import { HeaderMap } from '../stream/header-map.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { testHead } from '../telemetry/testing.js';
import type { Telemetry } from '../telemetry/telemetry.js';
import { InboundListeners, type InboundListener } from './inbound-listeners.js';
import { allowOnly, denyPath, FakeXds, testConnection, testListener } from './testing.js';

const name = 'weft/inbound/http/10.0.0.1:8080';
const id = 'spiffe://cluster.local/ns/shop/sa/web';
const peer = testConnection({ tls: true, mutualTls: true, peer: { spiffeId: id, trustDomain: 'cluster.local' } });
const ended = { cancelled: false, bytesReceived: 0, bytesSent: 0, status: 200 };

let xds: FakeXds;
let listener: InboundListener;
let infos: StreamInfo[];
let warnings: string[];
let timers: { run: () => void; ms: number; cancelled: boolean }[];

beforeEach(() => {
  xds = new FakeXds();
  infos = [];
  warnings = [];
  timers = [];
  const telemetry: Telemetry = { start: () => undefined, end: (info) => void infos.push(info) };
  const log = (_fields: object, message: string) => void warnings.push(message);
  const setTimeout = (run: () => void, ms: number) => {
    const timer = { run, ms, cancelled: false };
    timers.push(timer);
    return { cancel: () => void (timer.cancelled = true) };
  };
  const listeners = new InboundListeners({ xds, type: {} as never, routeType: {} as never, filterContext: { random: () => 0, now: () => 0, setTimeout }, telemetry, tls: undefined, logger: { debug: log, info: log, warn: log, error: log } });
  listener = listeners.listen({ portName: 'http', host: '10.0.0.1', port: 8080 });
});

function open(head = testHead(), connection = testConnection()) {
  const chain = listener.chainFor(connection);
  return chain && listener.open(chain, connection, head);
}

describe('a listener', () => {
  it('registers its port by subscribing and deregisters it by unsubscribing', () => {
    expect(xds.watched).toEqual([name]);
    listener.close();
    expect(xds.watched).toEqual([]);
  });

  it('serves nothing without configuration, and waits for it', async () => {
    expect([listener.tlsMode, listener.chainFor(testConnection())]).toEqual(['unknown', undefined]);
    const ready = listener.ready();
    xds.fail(name, new Error('cannot reach the control plane'));
    xds.set(name, testListener());
    await ready;
    expect([listener.tlsMode, listener.chainFor(testConnection()) !== undefined]).toEqual(['disable', true]);
  });

  it('says why it waited in vain', async () => {
    xds.fail(name, new Error('field x is not supported'));
    await expect(listener.ready(AbortSignal.abort())).rejects.toThrow('field x is not supported');
    const waiting = listener.ready();
    xds.remove(name);
    await expect(waiting).rejects.toThrow(`no configuration: ${name}: removed`);
    await expect(listener.ready()).rejects.toThrow('removed');
    listener.close();
    await expect(listener.ready()).rejects.toMatchObject({ code: 'WEFT_CLOSED' });
  });

  it('keeps the last good configuration over a rejected one, and drops it when it is removed', () => {
    xds.set(name, testListener());
    xds.fail(name, new Error('rejected'));
    const invalid = testListener({ mode: 'strict' });
    invalid.filterChains[0]!.tls!.subjectAltNames = [{ kind: 'exact', value: 'x', ignoreCase: false }];
    xds.set(name, invalid);
    expect(listener.tlsMode).toBe('disable');
    expect(warnings).toEqual(Array(2).fill('inbound configuration rejected, the former stays'));
    xds.remove(name);
    expect([listener.tlsMode, open()]).toEqual(['unknown', undefined]);
  });

  it.each([['strict', false, true], ['permissive', true, true], ['disable', true, false]] as const)('%s: plain text %s, mutual TLS %s', (mode, plain, mutual) => {
    xds.set(name, testListener({ mode }));
    expect([listener.tlsMode, listener.chainFor(testConnection()) !== undefined, listener.chainFor(peer) !== undefined]).toEqual([mode, plain, mutual]);
    // A client that shows no certificate where one is required.
    expect(listener.chainFor(testConnection({ tls: true }))).toBeUndefined();
  });

  it('judges requests on an open connection by the newest policy', async () => {
    xds.set(name, testListener());
    const connection = testConnection();
    expect(await open(testHead({ path: '/admin' }), connection)!.decode()).toBeUndefined();
    xds.set(name, testListener({ rbac: [denyPath('/admin')] }));
    expect(await open(testHead({ path: '/admin' }), connection)!.decode()).toMatchObject({ status: 403 });
    xds.set(name, testListener({ mode: 'strict' }));
    expect(open(testHead(), connection)).toBeUndefined();
  });

  it('serves routes by reference once they are there, 503 before', async () => {
    const config = testListener();
    const { route } = config.filterChains[0]!.http!;
    config.filterChains[0]!.http!.route = { kind: 'rds', name: 'inbound-routes' };
    xds.set(name, config);
    expect(await open()!.decode()).toMatchObject({ status: 503, flag: 'NC' });
    xds.set('inbound-routes', (route as { config: unknown }).config);
    expect(await open()!.decode()).toBeUndefined();
    xds.set(name, testListener());
    expect(xds.watched).toEqual([name]);
  });
});

describe('a request', () => {
  it('is normalised before policies see it, and handed on as they saw it', async () => {
    xds.set(name, testListener({ rbac: [denyPath('/admin')] }));
    const head = testHead({ path: '/x/..//%61dmin?q' });
    const stream = open(head)!;
    expect(await stream.decode()).toMatchObject({ status: 403, body: 'RBAC: access denied' });
    expect([head.path, stream.info.originalPath]).toEqual(['/admin?q', '/x/..//%61dmin?q']);
  });

  it('of an identity is judged by it, and the application is told the identity', async () => {
    xds.set(name, testListener({ mode: 'permissive', rbac: [allowOnly(id)] }));
    const head = testHead({ headers: { 'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/x/sa/root', 'x-envoy-original-path': '/x' } });
    expect(await open(head, peer)!.decode()).toBeUndefined();
    expect(await open()!.decode()).toMatchObject({ status: 403 });
    expect([head.headers.all('x-forwarded-client-cert'), head.headers.has('x-envoy-original-path')]).toEqual([[`URI=${id}`], false]);
  });

  it('of gRPC with another spelling of a method is of an unknown method', async () => {
    xds.set(name, testListener());
    expect(await open(testHead({ protocol: 'grpc', path: '//pkg.Svc/Method', method: 'POST' }))!.decode()).toMatchObject({ grpcStatus: 12 });
  });

  it('is answered by redirects, and refused where a route names a cluster', async () => {
    xds.set(name, testListener({ action: { kind: 'direct-response', status: 418, body: Buffer.from('tea') } }));
    expect(await open()!.decode()).toMatchObject({ status: 418 });
    xds.set(name, testListener({ action: { kind: 'route', cluster: { kind: 'cluster', name: 'x' }, clusterNotFoundStatus: 503, timeoutMs: 0, hashPolicies: [], mirrors: [], priority: 'default', appendXForwardedHost: false } }));
    expect(await open()!.decode()).toMatchObject({ status: 503 });
  });

  it('carries deadline and cancellation to what its handler does', () => {
    xds.set(name, testListener());
    const stream = open(testHead({ headers: { 'grpc-timeout': '5S', 'x-envoy-expected-rq-timeout-ms': '2000' } }))!;
    stream.decode();
    const context = stream.run(() => currentContext())!;
    expect(context.deadline! - performance.now()).toBeGreaterThan(0);
    expect(context.deadline! - performance.now()).toBeLessThan(2001);
    const { signal } = context;
    stream.end({ ...ended, status: 0, cancelled: true });
    expect([signal!.aborted, infos[0]!.flags, infos[0]!.status]).toEqual([true, ['DC'], 0]);
  });

  it('passes filters in order, its response in reverse, and each hears of the end once', async () => {
    const calls: string[] = [];
    const filter = (filterName: string, reply?: LocalReply): HttpFilterConfig => ({
      name: filterName, config: {}, disabled: false,
      factory: {
        name: filterName, typeUrls: [], sides: ['server'], parse: () => ({}),
        create: () => ({ forRoute: () => () => ({
          decodeHeaders: async () => (calls.push(`${filterName} decode`), reply),
          encodeHeaders: () => void calls.push(`${filterName} encode`),
          onComplete: () => void calls.push(`${filterName} complete`),
        }) }),
      },
    });
    xds.set(name, testListener({ filters: [filter('a'), filter('b', { status: 429, body: '', details: 'limited', flag: 'RL' }), filter('c')] }));
    const stream = open()!;
    expect(await stream.decode()).toMatchObject({ status: 429 });
    stream.encode({ status: 429, headers: new HeaderMap() });
    stream.end({ ...ended, status: 429 });
    stream.end({ ...ended, status: 429 });
    expect(calls).toEqual(['a decode', 'b decode', 'c encode', 'b encode', 'a encode', 'a complete', 'b complete', 'c complete']);
    expect(infos).toEqual([expect.objectContaining({ flags: ['RL'], responseCodeDetails: 'limited', status: 429, routeName: 'default' })]);
  });

  it('gets the header edits of its route both ways', async () => {
    const config = testListener();
    const edit = (header: string) => ({ add: [{ name: header, value: '%REQ(:path)%', action: 'overwrite-if-exists-or-add' as const, keepEmpty: false }], remove: [] });
    const inline = config.filterChains[0]!.http!.route as Extract<HttpConnectionManagerConfig['route'], { kind: 'inline' }>;
    inline.config.virtualHosts[0]!.routes[0]!.mutations = { ...noMutations, request: edit('x-in'), response: edit('x-out') };
    xds.set(name, config);
    const head = testHead({ path: '/p' });
    const stream = open(head)!;
    await stream.decode();
    const response = { status: 200, headers: new HeaderMap() };
    stream.encode(response);
    expect([head.headers.get('x-in'), response.headers.get('x-out')]).toEqual(['/p', '/p']);
  });

  it('that takes longer than the configuration allows is ended', () => {
    xds.set(name, testListener({ http: { maxStreamDurationMs: 1000 } }));
    const stream = open()!;
    const replies: LocalReply[] = [];
    stream.abort = (reply) => void replies.push(reply);
    expect(timers[0]!.ms).toBe(1000);
    timers[0]!.run();
    stream.end({ ...ended, status: 408 });
    expect([replies[0]?.status, infos[0]!.flags, infos[0]!.responseCodeDetails, timers[0]!.cancelled]).toEqual([408, [], 'max_duration_timeout', true]);
  });
});
