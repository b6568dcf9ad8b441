// Envoy's substitution formats (`%REQ(x-user)%`), compiled once. Used by header mutations.
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead } from '../stream/response-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { firstRequestHeader } from './request-header.js';

export type Formatter = (head: RequestHead, info: StreamInfo, response?: ResponseHead) => string;

type Command = (argument: string | undefined) => Formatter;

/** What is not known is left out (''), as in Envoy's header mutations. Throws for an unknown or malformed command. */
export function compileFormatter(text: string): Formatter {
  const parts = parse(text);
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
    if (!compile) throw new Error(`unknown substitution %${name}% in "${text}"`);
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
  REQ: withHeaders((name) => (head) => firstRequestHeader(head, name)),
  RESP: withHeaders((name) => (_head, _info, response) => (name === ':status' ? response && String(response.status) : response?.headers.get(name))),
  PROTOCOL: plain((_head, info) => info.httpVersion),
  START_TIME: plain((_head, info) => new Date(performance.timeOrigin + info.startTime).toISOString()),
  DOWNSTREAM_REMOTE_ADDRESS: plain((_head, info) => info.downstreamRemoteAddress),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: plain((_head, info) => addressOnly(info.downstreamRemoteAddress)),
  DOWNSTREAM_LOCAL_ADDRESS: plain((_head, info) => info.downstreamLocalAddress),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: plain((_head, info) => addressOnly(info.downstreamLocalAddress)),
  DOWNSTREAM_PEER_URI_SAN: plain((_head, info) => info.peer?.spiffeId ?? ''),
  REQUESTED_SERVER_NAME: plain((_head, info) => info.requestedServerName),
  UPSTREAM_HOST: plain((_head, info) => info.upstreamAddress),
  UPSTREAM_CLUSTER: plain((_head, info) => info.clusterName),
  ROUTE_NAME: plain((_head, info) => info.routeName),
  RESPONSE_CODE: plain((_head, info, response) => String(response?.status ?? info.status)),
  RESPONSE_CODE_DETAILS: plain((_head, info) => info.responseCodeDetails),
  // Envoy writes `-` for none.
  RESPONSE_FLAGS: plain((_head, info) => info.flags.join(',') || '-'),
};

function plain(format: Formatter): Command {
  return (argument) => {
    if (argument !== undefined) throw new Error(`this substitution takes no argument here: (${argument})`);
    return format;
  };
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
