// What a peer must not be able to tell the application: headers by which proxies and meshes talk among themselves.
import { randomUUID } from 'node:crypto';
import type { HeaderMap } from '../stream/header-map.js';
import type { LocalReply } from '../stream/local-reply.js';
import { isTraceparent } from '../telemetry/tracing.js';

const longestBaggage = 8192;

export interface SanitizeOptions {
  /** Sets `x-forwarded-client-cert` to the verified identity (Envoy's SANITIZE_SET). */
  clientCertificate?: string | undefined;
}

/** Strips and repairs headers in place. A reply where the message has two meanings. */
export function sanitizeHeaders(headers: HeaderMap, { clientCertificate }: SanitizeOptions = {}): LocalReply | undefined {
  // Node keeps the first of these and drops the rest silently; the next parser may keep the last.
  if (repeated(headers, 'host') || repeated(headers, 'authorization')) return { status: 400, body: 'repeated header', details: 'repeated_header' };
  for (let i = headers.raw.length - 2; i >= 0; i -= 2) if (isInternal(headers.raw[i] as string)) headers.raw.splice(i, 2);
  sanitizeTracing(headers);
  if (clientCertificate !== undefined) headers.add('x-forwarded-client-cert', clientCertificate);
  protectFromConnection(headers);
  return undefined;
}

function repeated(headers: HeaderMap, name: string): boolean {
  let seen = false;
  for (let i = 0; i < headers.raw.length; i += 2) {
    if (headers.raw[i] !== name) continue;
    if (seen) return true;
    seen = true;
  }
  return false;
}

function isInternal(name: string): boolean {
  if (name.charCodeAt(0) !== 120 /* x */) return false;
  // CGI-like code reads `_` as `-`.
  const dashed = name.includes('_') ? name.replaceAll('_', '-') : name;
  return dashed === 'x-forwarded-client-cert' || dashed.startsWith('x-envoy-') || dashed.startsWith('x-weft-');
}

function sanitizeTracing(headers: HeaderMap): void {
  const id = headers.get('x-request-id');
  if (id === undefined || !/^[\x21-\x7e]{1,128}$/.test(id) || repeated(headers, 'x-request-id')) headers.set('x-request-id', randomUUID());
  const traceparent = headers.get('traceparent');
  if (traceparent === undefined || !isTraceparent(traceparent) || repeated(headers, 'traceparent')) {
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
