// envoy.extensions.filters.http.stateful_session.v3, decoded.
import { fromBinary } from '@weft/xds-api/protobuf';
import type { Any } from '@weft/xds-api/protobuf/wkt';
import {
  CookieAttributeSchema, CookieBasedSessionStateSchema, CookieSchema, HeaderBasedSessionStateSchema, StatefulSessionPerRouteSchema, StatefulSessionSchema,
  type CookieBasedSessionState, type StatefulSession,
} from '@weft/xds-api/filter-stateful-session';
import { join, knownFields, Report } from '../../resource/report.js';
import { durationMs, typeNameOf, unpack } from '../../resource/value.js';

export interface StatefulSessionConfig {
  /** Undefined: no request has a session. */
  state?: SessionStateConfig;
  /** The host of a session or none. */
  strict: boolean;
  /** What is answered where it is none. */
  missingStatus: number;
}

export type SessionStateConfig =
  | { kind: 'header'; name: string }
  | { kind: 'cookie'; name: string; path: string; ttlSeconds: number; attributes: readonly (readonly [name: string, value: string])[] };

const fields = knownFields(StatefulSessionSchema, ['session_state', 'strict', 'status_on_strict_destination_not_found'], ['stat_prefix']);
const perRouteFields = knownFields(StatefulSessionPerRouteSchema, ['disabled', 'stateful_session']);
const headerFields = knownFields(HeaderBasedSessionStateSchema, ['name']);
const stateFields = knownFields(CookieBasedSessionStateSchema, ['cookie']);
const cookieFields = knownFields(CookieSchema, ['name', 'ttl', 'path', 'attributes']);
const attributeFields = knownFields(CookieAttributeSchema, ['name', 'value']);

/** @throws {DecodeError} */
export function parseStatefulSession(value: Uint8Array): StatefulSessionConfig {
  const report = new Report();
  const config = decode(fromBinary(StatefulSessionSchema, value), '', report);
  report.finish('StatefulSession');
  return config;
}

/** Undefined: switched off there. @throws {DecodeError} */
export function parseStatefulSessionPerRoute(value: Uint8Array): StatefulSessionConfig | undefined {
  const message = fromBinary(StatefulSessionPerRouteSchema, value);
  const report = new Report();
  report.check(perRouteFields, message, '');
  const { override } = message;
  if (override.case === undefined) report.add('', 'one of disabled, stateful_session is required');
  if (override.case === 'disabled' && !override.value) report.add('disabled', 'must be true');
  const config = override.case === 'statefulSession' ? decode(override.value, 'stateful_session', report) : undefined;
  report.finish('StatefulSessionPerRoute');
  return config;
}

function decode(message: StatefulSession, path: string, report: Report): StatefulSessionConfig {
  report.check(fields, message, path);
  const { sessionState, strict, statusOnStrictDestinationNotFound: status } = message;
  if (status !== 0 && (status < 200 || status > 599)) report.add(join(path, 'status_on_strict_destination_not_found'), 'must be 200 to 599');
  const state = sessionState && decodeState(sessionState.typedConfig, join(path, 'session_state.typed_config'), report);
  return { ...(state && { state }), strict, missingStatus: strict && status !== 0 ? status : 503 };
}

function decodeState(any: Any | undefined, path: string, report: Report): SessionStateConfig | undefined {
  switch (any && typeNameOf(any)) {
    case CookieBasedSessionStateSchema.typeName: {
      const message = unpack(any as Any, CookieBasedSessionStateSchema, path, report);
      return message && decodeCookie(message, path, report);
    }
    case HeaderBasedSessionStateSchema.typeName: {
      const message = unpack(any as Any, HeaderBasedSessionStateSchema, path, report);
      if (message) report.check(headerFields, message, path);
      if (message?.name === '') report.add(join(path, 'name'), 'must not be empty');
      return message && { kind: 'header', name: message.name.toLowerCase() };
    }
    default:
      report.add(path, any ? `${typeNameOf(any)} is not supported (cookie and header are)` : 'is required');
      return undefined;
  }
}

function decodeCookie(message: CookieBasedSessionState, path: string, report: Report): SessionStateConfig {
  report.check(stateFields, message, path);
  const { cookie } = message;
  const at = join(path, 'cookie');
  if (cookie) report.check(cookieFields, cookie, at);
  if (!cookie || cookie.name === '') report.add(join(at, 'name'), 'must not be empty');
  const ttlMs = durationMs(cookie?.ttl, join(at, 'ttl'), report) ?? 0;
  const attributes = cookie?.attributes.map((attribute, i) => {
    report.check(attributeFields, attribute, join(at, `attributes[${i}]`));
    return [attribute.name, attribute.value] as const;
  }) ?? [];
  return { kind: 'cookie', name: cookie?.name ?? '', path: cookie?.path ?? '', ttlSeconds: Math.floor(ttlMs / 1000), attributes };
}
