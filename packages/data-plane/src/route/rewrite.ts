// Rewrites of path and authority (RouteAction.prefix_rewrite, regex_rewrite, host_rewrite_*).
import type { ForwardActionConfig, RegexRewriteConfig, RouteMatchConfig } from '../resource/route-config.js';
import { pathOnly, type RequestHead } from '../stream/request-head.js';
import type { Host } from '../upstream/host.js';
import { compileRegexRewrite } from './regex.js';
import { firstRequestHeader } from './request-header.js';

type PathRewrite = (path: string) => string;

/** A new path with the old query, or `undefined` where nothing rewrites it. */
export function compilePathRewrite(match: RouteMatchConfig['path'], action: { prefixRewrite?: string; regexRewrite?: RegexRewriteConfig }): PathRewrite | undefined {
  const { prefixRewrite, regexRewrite } = action;
  if (prefixRewrite !== undefined && prefixRewrite !== '') {
    if (regexRewrite) throw new Error('prefix_rewrite and regex_rewrite exclude each other');
    if (match.kind === 'regex' || match.kind === 'uri-template' || match.kind === 'connect') return (path) => prefixRewrite + path.slice(pathOnly(path).length);
    const { length } = match.value;
    return (path) => prefixRewrite + path.slice(length);
  }
  if (regexRewrite) {
    const replace = compileRegexRewrite(regexRewrite);
    return (path) => {
      const plain = pathOnly(path);
      return replace(plain) + path.slice(plain.length);
    };
  }
  return undefined;
}

export type HeadRewrite = (head: RequestHead) => void;

/** What a forwarding route changes of a head before it is sent; `undefined` where nothing. */
export function compileRewrite(match: RouteMatchConfig['path'], action: ForwardActionConfig): HeadRewrite | undefined {
  const path = compilePathRewrite(match, action);
  const host = compileHostRewrite(action);
  if (!path && !host) return undefined;
  return (head) => {
    // The host first: a path regex for the host reads the path as it came.
    if (host) {
      const authority = host(head);
      if (authority !== undefined && authority !== '') setAuthority(head, authority, action.appendXForwardedHost);
    }
    if (path) {
      const rewritten = path(head.path);
      head.headers.set('x-envoy-original-path', head.path);
      head.path = rewritten;
    }
  };
}

function compileHostRewrite({ hostRewrite }: ForwardActionConfig): ((head: RequestHead) => string | undefined) | undefined {
  switch (hostRewrite?.kind) {
    case 'literal': return () => hostRewrite.value;
    case 'header': {
      const name = hostRewrite.header.toLowerCase();
      return (head) => firstRequestHeader(head, name);
    }
    case 'path-regex': {
      const replace = compileRegexRewrite(hostRewrite.regex);
      return (head) => replace(pathOnly(head.path));
    }
    // Known only with the host of an attempt: rewriteForHost.
    default: return undefined;
  }
}

/** host_rewrite `auto`: the authority becomes the host name of the endpoint that was chosen for an attempt. */
export function rewriteForHost(head: RequestHead, action: ForwardActionConfig, host: Host): void {
  const { hostname } = host.config;
  if (action.hostRewrite?.kind === 'auto' && hostname !== '') setAuthority(head, hostname, action.appendXForwardedHost);
}

function setAuthority(head: RequestHead, authority: string, appendForwardedHost: boolean): void {
  if (appendForwardedHost && head.headers.all('x-forwarded-host').at(-1) !== head.authority) head.headers.add('x-forwarded-host', head.authority);
  head.headers.set('x-envoy-original-host', head.authority);
  head.authority = authority;
}
