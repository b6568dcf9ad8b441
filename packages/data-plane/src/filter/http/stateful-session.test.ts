import { create, toBinary, type MessageInitShape } from '@weft/xds-api/protobuf';
import { packAny } from '@weft/xds-api';
import { CookieBasedSessionStateSchema, HeaderBasedSessionStateSchema, StatefulSessionPerRouteSchema, StatefulSessionSchema } from '@weft/xds-api/filter-stateful-session';
import { describe, expect, it } from 'vitest';
import { HeaderMap } from '../../stream/header-map.js';
import type { RequestHead } from '../../stream/request-head.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import { readSessionCookie, writeSessionCookie } from './session-cookie.js';
import { statefulSession } from './stateful-session.js';

let now = 1_000_000_000_000;
const [type, perRoute] = statefulSession.typeUrls as [string, string];
const parse = (init: MessageInitShape<typeof StatefulSessionSchema>) => statefulSession.parse(type, toBinary(StatefulSessionSchema, create(StatefulSessionSchema, init)));
const cookieState = (cookie: MessageInitShape<typeof CookieBasedSessionStateSchema>['cookie']) => ({ sessionState: { name: 'x', typedConfig: packAny(CookieBasedSessionStateSchema, { cookie: cookie as object }) } });
const headerState = { sessionState: { name: 'x', typedConfig: packAny(HeaderBasedSessionStateSchema, { name: 'X-Session' }) } };
const filter = statefulSession.create({ random: () => 0, now: () => now, setTimeout: () => ({ cancel: () => undefined }) });
const route = { overrides: [], metadata: {}, rateLimits: undefined as never, forwards: true };

/** One request that is answered by `host`; what it was asked for and what it is given. */
function exchange(config: ReturnType<typeof parse>, { headers = [], path = '/', host = '10.0.0.1:80' }: { headers?: string[]; path?: string; host?: string } = {}, override?: ReturnType<NonNullable<typeof statefulSession.parseOverride>>) {
  const make = filter.forRoute(config, override, route);
  if (!make) return undefined;
  const stream = make();
  const info = { upstreamAddress: '' } as StreamInfo;
  const head: RequestHead = { protocol: 'http', method: 'GET', scheme: 'http', authority: 'x', path, headers: new HeaderMap(headers) };
  stream.decodeHeaders?.(head, info, undefined as never);
  info.upstreamAddress = host;
  const response = { status: 200, headers: new HeaderMap() };
  stream.encodeHeaders?.(response, info, undefined as never);
  return { asked: info.overrideHost, cookie: response.headers.get('set-cookie'), header: response.headers.get('x-session') };
}

describe('session affinity by cookie', () => {
  const config = parse(cookieState({ name: 'session', path: '/shop', ttl: { seconds: 60n }, attributes: [{ name: 'SameSite', value: 'Lax' }, { name: 'Secure' }] }));
  const given = () => /^session="([^"]+)"; Max-Age=60; Path=\/shop; SameSite=Lax; Secure; HttpOnly$/.exec(exchange(config, { path: '/shop/cart' })?.cookie ?? '')?.[1] as string;

  it('gives the host that answered, and asks for it when the cookie comes back', () => {
    const value = given();
    const again = exchange(config, { path: '/shop', headers: ['cookie', `a=b; session="${value}"`] });
    expect(again).toEqual({ asked: { address: '10.0.0.1:80', strict: false, missingStatus: 503 }, cookie: undefined, header: undefined });
  });

  it('gives another cookie where another host answered', () => {
    const moved = exchange(config, { path: '/shop?x', headers: ['cookie', `session=${given()}`], host: '10.0.0.2:80' });
    expect(readSessionCookie(/"([^"]+)"/.exec(moved?.cookie ?? '')?.[1] as string, 0)).toBe('10.0.0.2:80');
  });

  it('is not of requests on other paths', () => {
    for (const path of ['/', '/shopping', '/sho']) expect(exchange(config, { path, headers: ['cookie', `session=${given()}`] })).toEqual({ asked: undefined, cookie: undefined, header: undefined });
  });

  it('ends with its time, and with nonsense in the cookie', () => {
    const value = given();
    now += 61_000;
    expect(exchange(config, { path: '/shop', headers: ['cookie', `session=${value}`] })?.asked).toBeUndefined();
    for (const wrong of ['', '!!', 'CgMx', Buffer.from('10.0.0.1:80').toString('base64')]) expect(exchange(config, { path: '/shop', headers: ['cookie', `session=${wrong}`] })?.asked, wrong).toBeUndefined();
  });

  it('gives nothing where no host was reached', () => {
    expect(exchange(config, { path: '/shop', host: '' })?.cookie).toBeUndefined();
  });

  it('has the wire format of Envoy', () => {
    expect(writeSessionCookie('127.0.0.1:80', 0)).toBe(Buffer.from('\n\x0c127.0.0.1:80').toString('base64'));
    expect(readSessionCookie(writeSessionCookie('[::1]:8080', 2_000_000_000), 1_999_999_999)).toBe('[::1]:8080');
  });
});

describe('session affinity by header', () => {
  it('gives and takes the address in the header', () => {
    const config = parse({ ...headerState, strict: true, statusOnStrictDestinationNotFound: 410 });
    const value = exchange(config)?.header as string;
    expect(Buffer.from(value, 'base64').toString()).toBe('10.0.0.1:80');
    expect(exchange(config, { headers: ['x-session', value] })).toEqual({ asked: { address: '10.0.0.1:80', strict: true, missingStatus: 410 }, cookie: undefined, header: undefined });
  });
});

describe('its configuration', () => {
  const override = (init: MessageInitShape<typeof StatefulSessionPerRouteSchema>) => statefulSession.parseOverride!(perRoute, toBinary(StatefulSessionPerRouteSchema, create(StatefulSessionPerRouteSchema, init)));

  it('without a state does nothing', () => {
    expect(exchange(parse({}))).toBeUndefined();
  });

  it('is switched off or replaced on a route', () => {
    const config = parse(headerState);
    expect(exchange(config, {}, override({ override: { case: 'disabled', value: true } }))).toBeUndefined();
    expect(exchange(config, {}, override({ override: { case: 'statefulSession', value: cookieState({ name: 'c' }) } }))?.cookie).toMatch(/^c="[^"]+"; HttpOnly$/);
  });

  it('is refused where it says nothing or something unknown', () => {
    expect(() => parse({ sessionState: { name: 'x', typedConfig: packAny(StatefulSessionSchema, {}) } })).toThrow(/session_state.typed_config.*not supported/);
    expect(() => parse(cookieState({}))).toThrow(/cookie.name/);
    expect(() => override({})).toThrow(/disabled, stateful_session/);
    expect(() => parse({ ...headerState, statusOnStrictDestinationNotFound: 42 })).toThrow(/200 to 599/);
  });
});
