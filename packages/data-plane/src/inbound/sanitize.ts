// What a peer must not be able to tell the application: headers by which proxies and meshes talk among themselves.
import type { HeaderMap } from '../stream/header-map.js';
import type { LocalReply } from '../stream/local-reply.js';
import { isTraceparent } from '../telemetry/tracing.js';
import { requestId } from './request-id.js';

const longestBaggage = 8192;

export interface SanitizeOptions {
  /** Sets `x-forwarded-client-cert` to the verified identity (Envoy's SANITIZE_SET). */
  clientCertificate?: string | undefined;
}

/** Strips and repairs headers in place. A reply where the message has two meanings. */
export function sanitizeHeaders(headers: HeaderMap, { clientCertificate }: SanitizeOptions = {}): LocalReply | undefined {
  const found = survey(headers.raw);
  // Node keeps the first of these and drops the rest silently; the next parser may keep the last.
  if (found.hosts > 1 || found.authorizations > 1) return { status: 400, body: 'repeated header', details: 'repeated_header' };
  if (found.internal > 0) stripInternal(headers.raw);
  if (found.requestIds !== 1 || !/^[\x21-\x7e]{1,128}$/.test(headers.get('x-request-id') as string)) headers.set('x-request-id', requestId());
  if (found.tracing > 0) sanitizeTracing(headers);
  if (clientCertificate !== undefined) headers.add('x-forwarded-client-cert', clientCertificate);
  if (found.connections > 0) protectFromConnection(headers);
  return undefined;
}

/** How often what is looked after is there: one pass, so that a request without any of it costs only that. */
interface Survey {
  hosts: number;
  authorizations: number;
  requestIds: number;
  connections: number;
  /** `traceparent`, `tracestate`, `baggage`. */
  tracing: number;
  internal: number;
}

function survey(raw: readonly string[]): Survey {
  const found: Survey = { hosts: 0, authorizations: 0, requestIds: 0, connections: 0, tracing: 0, internal: 0 };
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    switch (name.charCodeAt(0)) {
      case 97 /* a */: if (name === 'authorization') found.authorizations++; break;
      case 98 /* b */: if (name === 'baggage') found.tracing++; break;
      case 99 /* c */: if (name === 'connection') found.connections++; break;
      case 104 /* h */: if (name === 'host') found.hosts++; break;
      case 116 /* t */: if (name === 'traceparent' || name === 'tracestate') found.tracing++; break;
      case 120 /* x */:
        if (name === 'x-request-id') found.requestIds++;
        else if (isInternal(name)) found.internal++;
    }
  }
  return found;
}

function stripInternal(raw: string[]): void {
  let to = 0;
  for (let i = 0; i < raw.length; i += 2) {
    if (isInternal(raw[i] as string)) continue;
    raw[to] = raw[i] as string;
    raw[to + 1] = raw[i + 1] as string;
    to += 2;
  }
  raw.length = to;
}

function isInternal(name: string): boolean {
  if (name.charCodeAt(0) !== 120 /* x */) return false;
  // CGI-like code reads `_` as `-`.
  const dashed = name.includes('_') ? name.replaceAll('_', '-') : name;
  return dashed.startsWith('x-envoy-') || dashed.startsWith('x-weft-') || dashed === 'x-forwarded-client-cert';
}

function sanitizeTracing(headers: HeaderMap): void {
  const traceparent = headers.get('traceparent');
  if (traceparent === undefined || !isTraceparent(traceparent) || headers.all('traceparent').length > 1) {
    headers.remove('traceparent');
    headers.remove('tracestate');
  }
  const baggage = headers.joined('baggage');
  if (baggage !== undefined && (baggage.length > longestBaggage || !/^[\x20-\x7e]*$/.test(baggage))) headers.remove('baggage');
}

/** `Connection: x-request-id` would make the next hop drop what we have just set (RFC 9110 §7.6.1). */
function protectFromConnection(headers: HeaderMap): void {
  const listed = headers.joined('connection');
  if (listed === undefined || !/x-request-id|x-forwarded-client-cert|traceparent/i.test(listed)) return;
  const kept = listed.split(',').map((token) => token.trim()).filter((token) => !/^(x-request-id|x-forwarded-client-cert|traceparent)$/i.test(token));
  if (kept.length > 0) headers.set('connection', kept.join(', '));
  else headers.remove('connection');
}
