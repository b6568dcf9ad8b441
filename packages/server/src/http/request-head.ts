// A node request as the engine sees it, and back: what the application reads afterwards is what policies judged.
import type { IncomingMessage } from 'node:http';
import { HeaderMap, type LocalReply, type RequestHead } from '@weft/data-plane/internal';
import { diffHeaders } from './diff-headers.js';

/** With a reply where the request has no single meaning. */
export function requestHead(request: IncomingMessage, secure: boolean): { head: RequestHead; refusal?: LocalReply } {
  const all = HeaderMap.from(request.rawHeaders);
  const http2 = request.httpVersionMajor >= 2;
  const headers = http2 ? new HeaderMap(all.raw.filter((_, index, raw) => !(raw[index - (index % 2)] as string).startsWith(':'))) : all;
  const authority = http2 ? all.get(':authority') : undefined;
  const host = headers.get('host');
  const target = splitTarget(request.url ?? '');
  if (target?.authority !== undefined) {
    headers.set('host', target.authority);
    request.headers.host = target.authority;
  }
  const protocol = http2 && headers.get('content-type')?.startsWith('application/grpc') ? 'grpc' : 'http';
  const head: RequestHead = { protocol, method: request.method ?? '', scheme: secure ? 'https' : 'http', authority: target?.authority ?? authority ?? host ?? '', path: target?.path ?? request.url ?? '', headers };
  if (!target) return { head, refusal: badRequest('bad request target') };
  if (authority !== undefined && host !== undefined && host !== authority) return { head, refusal: badRequest('two authorities') };
  return { head };
}

/** RFC 9112 §3.2.2: the authority of an absolute target counts, not the Host header. */
function splitTarget(url: string): { authority?: string; path: string } | undefined {
  if (url.startsWith('/') || url === '*') return { path: url };
  const absolute = /^https?:\/\/([^/?#@\\]+)([/?#].*)?$/i.exec(url);
  if (!absolute) return undefined;
  const [, authority = '', rest = ''] = absolute;
  return { authority, path: rest.startsWith('/') ? rest : `/${rest}` };
}

function badRequest(details: string): LocalReply {
  return { status: 400, body: details, details: details.replaceAll(' ', '_') };
}

/** Writes the head back into the request. `before` is the list of headers as they came. */
export function applyHead(request: IncomingMessage, head: RequestHead, before: readonly string[]): void {
  if (request.url !== head.path) request.url = head.path;
  if (request.method !== head.method) request.method = head.method;
  const { raw } = head.headers;
  if (raw.length === before.length && raw.every((item, index) => item === before[index])) return;
  const { headers } = request;
  diffHeaders(new HeaderMap(before as string[]), head.headers, {
    set: (name, values) => void (headers[name] = name === 'set-cookie' ? values : values.join(name === 'cookie' ? '; ' : ', ')),
    remove: (name) => delete headers[name],
  });
  if (request.httpVersionMajor >= 2) {
    const pseudo = request.rawHeaders.filter((_, index, all) => (all[index - (index % 2)] as string).startsWith(':'));
    request.rawHeaders.splice(0, request.rawHeaders.length, ...pseudo, ...raw);
    return;
  }
  request.rawHeaders = raw;
  countHeaders(request, raw);
}

// Node reads `headersDistinct` from as many raw headers as came in, and fails on those that are gone.
function countHeaders(request: IncomingMessage, raw: readonly string[]): void {
  headersCount ??= Object.getOwnPropertySymbols(request).find((symbol) => symbol.description === 'kHeadersCount') ?? null;
  if (headersCount !== null) {
    (request as unknown as Record<symbol, number>)[headersCount] = raw.length;
    return;
  }
  const distinct = Object.create(null) as NodeJS.Dict<string[]>;
  for (let i = 0; i < raw.length; i += 2) (distinct[raw[i] as string] ??= []).push(raw[i + 1] as string);
  request.headersDistinct = distinct;
}

let headersCount: symbol | null | undefined;
