import { any, filterOf, type ConformanceCase, type Json } from '../conformance-case.js';

const name = 'envoy.filters.http.stateful_session';
const types = 'envoy.extensions.filters.http.stateful_session.v3';
const session = (config: Json) => filterOf(name, `${types}.StatefulSession`, config);
const byCookie = (cookie: Json) => ({ session_state: { name: 'envoy.http.stateful_session.cookie', typed_config: any('envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState', { cookie }) } });
const byHeader = { session_state: { name: 'envoy.http.stateful_session.header', typed_config: any('envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState', { name: 'x-session' }) } };
/** base64 of an address that no backend has. */
const elsewhere = Buffer.from('127.0.0.1:9').toString('base64');
const elsewhereCookie = Buffer.from('\n\x0b127.0.0.1:9').toString('base64');

// Clients only: a server has no hosts to choose from.
const sides = ['client'] as const;

export const statefulSessionCases: readonly ConformanceCase[] = [
  {
    name: 'gives a cookie with the host that answered',
    sides,
    filters: [session(byCookie({ name: 'session', path: '/', ttl: '60s' }))],
    exchanges: [{ expect: { headers: { 'set-cookie': /^session="Cg[\w+/=]+"; Max-Age=60; Path=\/; HttpOnly$/ } } }],
  },
  {
    name: 'gives a header with the host that answered, and another where the one that was asked for is gone',
    sides,
    filters: [session(byHeader)],
    exchanges: [
      { expect: { headers: { 'x-session': /^MTI3LjAuMC4xO[\w+/=]+$/ } } },
      { headers: { 'x-session': elsewhere }, expect: { headers: { 'x-session': /^MTI3LjAuMC4xO[\w+/=]+$/ } } },
    ],
  },
  {
    name: 'is not for other paths than the cookie\'s',
    sides,
    filters: [session(byCookie({ name: 'session', path: '/elsewhere' }))],
    exchanges: [{ expect: { headers: { 'set-cookie': undefined } } }],
  },
  {
    name: 'strictly refuses where the host is gone',
    sides,
    filters: [session({ ...byCookie({ name: 'session' }), strict: true })],
    exchanges: [{ headers: { cookie: `session=${elsewhereCookie}` }, expect: { status: 503, grpcStatus: 14, body: /^no healthy upstream/, seen: false } }],
  },
  {
    name: 'is switched off on a route',
    sides,
    filters: [session(byHeader)],
    virtualHost: { typed_per_filter_config: { [name]: any(`${types}.StatefulSessionPerRoute`, { disabled: true }) } },
    exchanges: [{ expect: { headers: { 'x-session': undefined } } }],
  },
];
