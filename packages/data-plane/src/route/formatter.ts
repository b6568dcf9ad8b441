// Envoy's substitution formats (`%REQ(x-user)%`), compiled once. Used by header mutations.
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { pathOnly, type RequestHead } from '../stream/request-head.js';
import type { ResponseHead } from '../stream/response-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { jsonText } from './json-text.js';
import { metadataValue } from './metadata-matcher.js';
import { queryParameter } from './query-matcher.js';
import { firstRequestHeader } from './request-header.js';
import { compileTimeFormat } from './time-format.js';

export type Formatter = (head: RequestHead, info: StreamInfo, response?: ResponseHead) => string;

type Command = (argument: string | undefined) => Formatter;

/**
 * What is not known is left out (''), as in Envoy's header mutations; texts of answers have `-` there. Throws for an unknown or malformed
 * command.
 */
export function compileFormatter(text: string, missing = ''): Formatter {
  const parts = parse(text).map((part) => (missing === '' || typeof part === 'string' ? part : (...args: Parameters<Formatter>) => part(...args) || missing));
  if (parts.every((part) => typeof part === 'string')) {
    const constant = parts.join('');
    return () => constant;
  }
  if (parts.length === 1) return parts[0] as Formatter;
  return (head, info, response) => {
    let result = '';
    for (const part of parts) result += typeof part === 'string' ? part : part(head, info, response);
    return result;
  };
}

// Tab, visible ASCII and what comes from the wire as latin1.
const unsafe = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * A formatter whose value goes into a head. Metadata and names of servers may hold any character: a line break must not become a header of its
 * own, and no wire takes control characters. Text beyond latin1 goes as UTF-8, as from Envoy.
 */
export function compileHeaderFormatter(text: string): Formatter {
  const format = compileFormatter(text);
  return (head, info, response) => {
    const value = format(head, info, response);
    return unsafe.test(value) ? value.replace(/[\u0100-\uffff]+/g, (beyond) => Buffer.from(beyond).toString('latin1')).replace(/[^\t\x20-\x7e\x80-\xff]/g, '_') : value;
  };
}

const command = /%([A-Z][A-Z0-9_]*)(?:\(([^()]*)\))?(?::(\d+))?%/y;

function parse(text: string): (string | Formatter)[] {
  const parts: (string | Formatter)[] = [];
  let from = 0;
  for (;;) {
    const at = text.indexOf('%', from);
    if (at === -1) break;
    if (at > from) parts.push(text.slice(from, at));
    if (text[at + 1] === '%') {
      parts.push('%');
      from = at + 2;
      continue;
    }
    command.lastIndex = at;
    const match = command.exec(text);
    if (!match) throw new Error(`malformed substitution at letter ${at + 1} of "${text}" (a plain percent sign is %%)`);
    const [whole, name = '', argument, length] = match;
    const compile = commands[name];
    if (!compile) throw new Error(`${notHere.test(name) ? 'not known to a process:' : 'unknown substitution'} %${name}% in "${text}"`);
    parts.push(truncated(compile(argument), length));
    from = at + whole.length;
  }
  if (from < text.length) parts.push(text.slice(from));
  return parts;
}

function truncated(format: Formatter, length: string | undefined): Formatter {
  if (length === undefined) return format;
  const most = Number(length);
  return (head, info, response) => format(head, info, response).slice(0, most);
}

const commands: Readonly<Record<string, Command>> = {
  ...pairs(['REQ', 'REQUEST_HEADER'], withHeaders((name) => (head) => firstRequestHeader(head, name))),
  ...pairs(['RESP', 'RESPONSE_HEADER'], withHeaders((name) => (_head, _info, response) => (name === ':status' ? response && String(response.status) : response?.headers.get(name)))),
  PROTOCOL: plain((_head, info) => info.httpVersion),
  START_TIME: (argument) => {
    const format = argument === undefined || argument === '' ? (ms: number) => new Date(ms).toISOString() : compileTimeFormat(argument);
    return (_head, info) => format(performance.timeOrigin + info.startTime);
  },
  ...pairs(['DOWNSTREAM_REMOTE_ADDRESS', 'DOWNSTREAM_DIRECT_REMOTE_ADDRESS'], plain((_head, info) => info.downstreamRemoteAddress)),
  ...pairs(['DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT', 'DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT'], plain((_head, info) => addressOnly(info.downstreamRemoteAddress))),
  ...pairs(['DOWNSTREAM_REMOTE_PORT', 'DOWNSTREAM_DIRECT_REMOTE_PORT'], plain((_head, info) => portOnly(info.downstreamRemoteAddress))),
  DOWNSTREAM_LOCAL_ADDRESS: plain((_head, info) => info.downstreamLocalAddress),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: plain((_head, info) => addressOnly(info.downstreamLocalAddress)),
  DOWNSTREAM_LOCAL_PORT: plain((_head, info) => portOnly(info.downstreamLocalAddress)),
  DOWNSTREAM_PEER_URI_SAN: plain((_head, info) => info.peer?.spiffeId ?? ''),
  DOWNSTREAM_LOCAL_URI_SAN: plain((_head, info) => info.localUriSan?.() ?? ''),
  REQUESTED_SERVER_NAME: plain((_head, info) => info.requestedServerName),
  ...pairs(['UPSTREAM_HOST', 'UPSTREAM_REMOTE_ADDRESS'], plain((_head, info) => info.upstreamAddress)),
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: plain((_head, info) => addressOnly(info.upstreamAddress)),
  UPSTREAM_REMOTE_PORT: plain((_head, info) => portOnly(info.upstreamAddress)),
  ...pairs(['UPSTREAM_CLUSTER', 'UPSTREAM_CLUSTER_RAW'], plain((_head, info) => info.clusterName)),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: plain((_head, info) => String(Math.max(1, info.attempts))),
  ROUTE_NAME: plain((_head, info) => info.routeName),
  // Virtual clusters only name statistics, which Weft has its own of.
  VIRTUAL_CLUSTER_NAME: plain(() => ''),
  RESPONSE_CODE: plain((_head, info, response) => String(response?.status ?? info.status)),
  RESPONSE_CODE_DETAILS: plain((_head, info) => info.responseCodeDetails),
  // Envoy writes `-` for none.
  RESPONSE_FLAGS: plain((_head, info) => info.flags.join(',') || '-'),
  DYNAMIC_METADATA: (argument = '') => {
    const [filter = '', ...path] = argument.split(':');
    if (filter === '') throw new Error('%DYNAMIC_METADATA(filter:key:…)% names a filter');
    return (_head, info) => asText(metadataValue(info, filter, path));
  },
  FILTER_STATE: (argument = '') => {
    const [key = '', form = 'TYPED'] = argument.split(':');
    if (key === '' || (form !== 'TYPED' && form !== 'PLAIN')) throw new Error('%FILTER_STATE(key)% or (key:PLAIN) or (key:TYPED)');
    return (_head, info) => info.filterState?.get(key) ?? '';
  },
  PATH: (argument = '') => {
    const [query = '', which = ''] = argument.split(':');
    if (!['', 'WQ', 'NQ'].includes(query) || !['', 'ORIG', 'PATH', 'ORIG_OR_PATH'].includes(which)) throw new Error(`%PATH(WQ or NQ:ORIG, PATH or ORIG_OR_PATH)%, got (${argument})`);
    return (head) => {
      const original = which === 'PATH' ? undefined : head.headers.get('x-envoy-original-path');
      const path = original ?? (which === 'ORIG' ? '' : head.path);
      return query === 'NQ' ? pathOnly(path) : path;
    };
  },
  QUERY_PARAM: (argument = '') => {
    if (argument === '') throw new Error('%QUERY_PARAM(name)% names a parameter');
    return (head) => queryParameter(head.path, argument) ?? '';
  },
  HOSTNAME: constant(() => hostname()),
  ENVIRONMENT: (argument = '') => {
    if (argument === '') throw new Error('%ENVIRONMENT(NAME)% names a variable');
    const value = process.env[argument] ?? '';
    return () => value;
  },
  UNIQUE_ID: plain(() => randomUUID()),
  /** Of the W3C trace context. */
  TRACE_ID: plain((head) => /^[\da-f]{2}-([\da-f]{32})-/.exec(head.headers.get('traceparent') ?? '')?.[1] ?? ''),
};

// What Envoy knows of its connections, listeners and byte counts, and a request in a process has not, or not yet.
const notHere = /^(CONNECTION_ID|UPSTREAM_(CONNECTION|LOCAL|TLS|PEER|REMOTE|TRANSPORT|REQUEST|METADATA|WIRE|HEADER|FILTER|PROTOCOL|LOCALITY|HOST_NAME|CLUSTER_RAW)\w*|DOWNSTREAM_\w+|TLS_JA3_FINGERPRINT|BYTES_(SENT|RECEIVED)|\w*DURATION|GRPC_STATUS\w*|TRAILER|CEL|METADATA|CLUSTER_METADATA|FILTER_CHAIN_NAME|LOCAL_REPLY_BODY|STREAM_ID|EMIT_TIME|ACCESS_LOG_TYPE|START_TIME_LOCAL|EMIT_TIME_LOCAL|(REQUEST|RESPONSE)_(HEADERS|TRAILERS)_BYTES|CONNECTION_TERMINATION_DETAILS|UPSTREAM_TRANSPORT_FAILURE_REASON|CUSTOM_FLAGS|RESPONSE_FLAGS_LONG|COALESCE|FILE_CONTENT|SECRET)$/;

function pairs(names: readonly string[], command: Command): Record<string, Command> {
  return Object.fromEntries(names.map((name) => [name, command]));
}

function constant(read: () => string): Command {
  return (argument) => {
    const value = read();
    return plain(() => value)(argument);
  };
}

function plain(format: Formatter): Command {
  return (argument) => {
    if (argument !== undefined) throw new Error(`this substitution takes no argument here: (${argument})`);
    return format;
  };
}

/** Strings as they are, structures as JSON; what is not there is ''. */
function asText(value: unknown): string {
  return value === undefined ? '' : typeof value === 'string' ? value : jsonText(value);
}

/** `(first?second)`: the second header where the first is missing. */
function withHeaders(read: (name: string) => (...args: Parameters<Formatter>) => string | undefined): Command {
  return (argument) => {
    const names = (argument ?? '').toLowerCase().split('?').map((name) => name.trim());
    if (names.length > 2 || names.some((name) => name === '')) throw new Error(`expected (header) or (header?alternative), got (${argument ?? ''})`);
    const [first, second] = names.map(read);
    return (head, info, response) => first?.(head, info, response) ?? second?.(head, info, response) ?? '';
  };
}

/** Without the port and without brackets. */
function addressOnly(address: string): string {
  if (address.startsWith('[')) return address.slice(1, address.indexOf(']'));
  const colon = address.lastIndexOf(':');
  return colon === -1 || colon !== address.indexOf(':') ? address : address.slice(0, colon);
}

function portOnly(address: string): string {
  return /(?:^[^:]*|\]):(\d+)$/.exec(address)?.[1] ?? '';
}
