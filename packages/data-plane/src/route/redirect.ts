import type { RedirectConfig, RouteMatchConfig } from '../resource/route-config.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { RequestHead } from '../stream/request-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { compilePathRewrite } from './rewrite.js';
import { portStart } from './virtual-host-matcher.js';

export type Redirect = (head: RequestHead, info: StreamInfo) => LocalReply;

const statuses = new Set([301, 302, 303, 307, 308]);

/** RedirectAction. Throws where the configuration is invalid. */
export function compileRedirect(match: RouteMatchConfig['path'], config: RedirectConfig): Redirect {
  if (!statuses.has(config.status)) throw new Error(`a redirect has status 301, 302, 303, 307 or 308, not ${config.status}`);
  const rewritten = compilePathRewrite(match, config);
  return (head, info) => {
    const scheme = config.scheme || (config.https ? 'https' : head.scheme);
    const port = config.port ? `:${config.port}` : '';
    const host = config.host || requestHost(head, scheme, port !== '');
    return { status: config.status, body: '', headers: [['location', `${scheme}://${host}${port}${targetPath(head, info)}`]], details: 'direct_response' };
  };

  function targetPath(head: RequestHead, info: StreamInfo): string {
    const { path } = config;
    const original = head.path;
    // A query of its own is taken as it is, whatever strip_query says.
    if (path?.includes('?')) return withSlash(path);
    const query = original.indexOf('?');
    const kept = config.stripQuery || query === -1 ? '' : original.slice(query);
    const plain = query === -1 ? original : original.slice(0, query);
    if (path || !rewritten) return withSlash(path || plain) + kept;
    const other = rewritten(plain, head, info);
    // A rewrite to nothing rewrites nothing.
    if (other === undefined || other === '') return withSlash(plain) + kept;
    // The response's formatters see the path as it is rewritten (Envoy).
    head.headers.set('x-envoy-original-path', original);
    head.path = query === -1 ? other : other + original.slice(query);
    return withSlash(other) + kept;
  }
}

function withSlash(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}

/** The request's own host; its port goes where another is given or where it was the default of the scheme that changes. */
function requestHost(head: RequestHead, scheme: string, otherPort: boolean): string {
  const { authority } = head;
  const at = portStart(authority);
  const port = authority.slice(at + 1);
  const wasDefault = scheme !== head.scheme && port === (head.scheme === 'https' ? '443' : '80');
  return otherPort || wasDefault ? authority.slice(0, at) : authority;
}
