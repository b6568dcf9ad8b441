// A node request as the engine sees it, and back: what the application reads afterwards is what policies judged.
import { IncomingMessage } from 'node:http';
import { HeaderMap, type LocalReply, type RequestHead } from '@weft/data-plane/internal';
import { diffHeaders } from './diff-headers.js';

/** With a reply where the request has no single meaning. */
export function requestHead(request: IncomingMessage, secure: boolean, upgrade?: string): { head: RequestHead; refusal?: LocalReply } {
  const http2 = request.httpVersionMajor >= 2;
  const headers = headersOf(request.rawHeaders);
  const authority = http2 ? (request.headers[':authority'] as string | undefined) : undefined;
  const host = headers.get('host');
  const url = request.url ?? '';
  const target: Target | undefined = url.charCodeAt(0) === 47 /* / */ ? { path: url } : splitTarget(url);
  if (target?.authority !== undefined) headers.set('host', target.authority);
  const protocol = http2 && headers.get('content-type')?.startsWith('application/grpc') ? 'grpc' : 'http';
  const head: RequestHead = { protocol, method: request.method ?? '', scheme: secure ? 'https' : 'http', authority: target?.authority ?? authority ?? host ?? '', path: target?.path ?? url, headers, ...(upgrade !== undefined && { upgrade }) };
  if (!target) return { head, refusal: badRequest('bad request target') };
  if (authority !== undefined && host !== undefined && host !== authority) return { head, refusal: badRequest('two authorities') };
  return { head };
}

interface Target {
  authority?: string;
  path: string;
}

/** RFC 9112 §3.2.2: the authority of an absolute target counts, not the Host header. */
function splitTarget(url: string): Target | undefined {
  if (url === '*') return { path: url };
  const absolute = /^https?:\/\/([^/?#@\\]+)([/?#].*)?$/i.exec(url);
  if (!absolute) return undefined;
  const [, authority = '', rest = ''] = absolute;
  return { authority, path: rest.startsWith('/') ? rest : `/${rest}` };
}

function badRequest(details: string): LocalReply {
  return { status: 400, body: details, details: details.replaceAll(' ', '_') };
}

/** Without pseudo-headers. */
function headersOf(rawHeaders: readonly string[]): HeaderMap {
  const raw: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.charCodeAt(0) !== 58 /* : */) raw.push(name.toLowerCase(), rawHeaders[i + 1] as string);
  }
  return new HeaderMap(raw);
}

/** Writes the head back into the request. */
export function applyHead(request: IncomingMessage, head: RequestHead): void {
  if (request.url !== head.path) request.url = head.path;
  if (request.method !== head.method) request.method = head.method;
  const { raw } = head.headers;
  const { rawHeaders } = request;
  if (sameHeaders(raw, rawHeaders)) return;
  if (request.httpVersionMajor < 2 && headersCount !== undefined) return replaceHeaders(request, raw, headersCount);
  const { headers } = request;
  diffHeaders(headersOf(rawHeaders), head.headers, {
    set: (name, values) => void (headers[name] = name === 'set-cookie' ? values : values.join(name === 'cookie' ? '; ' : ', ')),
    remove: (name) => delete headers[name],
  });
  const pseudo = rawHeaders.filter((_, index) => (rawHeaders[index - (index % 2)] as string).startsWith(':'));
  rawHeaders.splice(0, rawHeaders.length, ...pseudo, ...raw);
}

function sameHeaders(raw: readonly string[], original: readonly string[]): boolean {
  if (raw.length !== original.length) return false;
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i + 1] !== original[i + 1]) return false;
    if (raw[i] !== original[i] && raw[i] !== (original[i] as string).toLowerCase()) return false;
  }
  return true;
}

// Node makes `headers` from `rawHeaders` when somebody asks, which for an application that does not is never. So they are not edited
// but made again.
function replaceHeaders(request: IncomingMessage, raw: string[], count: symbol): void {
  const message = request as unknown as { rawHeaders: string[]; headers: unknown; headersDistinct: unknown; [count: symbol]: number };
  message.rawHeaders = raw;
  message[count] = raw.length;
  message.headers = undefined;
  message.headersDistinct = undefined;
}

/** Under which Node keeps how many raw headers there are. Undefined where it does not make `headers` in this way. */
const headersCount = findHeadersCount();

function findHeadersCount(): symbol | undefined {
  const message = new IncomingMessage(undefined as never);
  const count = Object.getOwnPropertySymbols(message).find((symbol) => symbol.description === 'kHeadersCount');
  if (count === undefined) return undefined;
  replaceHeaders(message, ['a', '1'], count);
  if (message.headers['a'] !== '1' || message.headersDistinct['a']?.[0] !== '1') return undefined;
  replaceHeaders(message, ['b', '2', 'b', '3'], count);
  return message.headers['b'] === '2, 3' && !('a' in message.headers) && message.headersDistinct['b']?.length === 2 ? count : undefined;
}
