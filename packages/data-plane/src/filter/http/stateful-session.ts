// envoy.filters.http.stateful_session: requests of a session go to the host that answered its first one. The host's address is in a
// cookie or a header, which the response gives and further requests bring.
import { StatefulSessionPerRouteSchema, StatefulSessionSchema } from '@weft/xds-api/filter-stateful-session';
import { cookie } from '../../route/cookie-matcher.js';
import type { RequestHead } from '../../stream/request-head.js';
import type { ResponseHead } from '../../stream/response-head.js';
import type { HttpFilter, HttpFilterFactory, StreamFilter } from '../http-filter.js';
import { parseStatefulSession, parseStatefulSessionPerRoute, type SessionStateConfig, type StatefulSessionConfig } from './stateful-session-config.js';
import { readSessionCookie, writeSessionCookie } from './session-cookie.js';

const messages = [StatefulSessionSchema, StatefulSessionPerRouteSchema];

interface Override {
  config: StatefulSessionConfig | undefined;
}

export const statefulSession: HttpFilterFactory<StatefulSessionConfig, Override> = {
  name: 'envoy.filters.http.stateful_session',
  typeUrls: messages.map(({ typeName }) => `type.googleapis.com/${typeName}`),
  messages,
  sides: ['client'],
  parse: (_typeUrl, value) => parseStatefulSession(value),
  parseOverride: (_typeUrl, value) => ({ config: parseStatefulSessionPerRoute(value) }),
  create: ({ now }): HttpFilter<StatefulSessionConfig, Override> => ({
    forRoute(config, override) {
      const effective = override ? override.config : config;
      const { state } = effective ?? {};
      return effective && state && (() => session(effective, sessionState(state, now)));
    },
  }),
};

/** Where the address of the session's host is kept. */
interface SessionState {
  /** Whether the request belongs to sessions at all. */
  concerns(head: RequestHead): boolean;
  read(head: RequestHead): string | undefined;
  write(head: ResponseHead, address: string): void;
}

function session({ strict, missingStatus }: StatefulSessionConfig, state: SessionState): StreamFilter {
  let address: string | undefined;
  let concerned = false;
  return {
    decodeHeaders(head, info) {
      concerned = state.concerns(head);
      if (!concerned) return undefined;
      address = state.read(head);
      if (address !== undefined) info.overrideHost = { address, strict, missingStatus };
      return undefined;
    },
    encodeHeaders(head, { upstreamAddress }) {
      if (concerned && upstreamAddress !== '' && upstreamAddress !== address) state.write(head, upstreamAddress);
    },
  };
}

function sessionState(config: SessionStateConfig, now: () => number): SessionState {
  if (config.kind === 'header') {
    return {
      concerns: () => true,
      read: (head) => Buffer.from(head.headers.get(config.name) ?? '', 'base64').toString() || undefined,
      write: (head, address) => head.headers.set(config.name, Buffer.from(address).toString('base64')),
    };
  }
  const { name, path, ttlSeconds, attributes } = config;
  // As makers of cookies write it: `Max-Age` only where it ends.
  const rest = [...(ttlSeconds > 0 ? [`Max-Age=${ttlSeconds}`] : []), ...(path === '' ? [] : [`Path=${path}`]), ...attributes.map(([key, value]) => (value === '' ? key : `${key}=${value}`)), 'HttpOnly'];
  const seconds = () => Math.floor(now() / 1000);
  return {
    concerns: (head) => pathMatches(head.path, path),
    read(head) {
      const value = cookie(head, name);
      return value === undefined ? undefined : readSessionCookie(value, seconds());
    },
    write(head, address) {
      head.headers.add('set-cookie', `${name}="${writeSessionCookie(address, ttlSeconds > 0 ? seconds() + ttlSeconds : 0)}"; ${rest.join('; ')}`);
    },
  };
}

/** As browsers match a cookie's path. */
function pathMatches(requestPath: string, path: string): boolean {
  if (path === '' || path === '/') return true;
  if (!requestPath.startsWith(path)) return false;
  return path.endsWith('/') || requestPath.length === path.length || '/?#'.includes(requestPath[path.length] as string);
}
