// Rewrites of path and authority (RouteAction.prefix_rewrite, regex_rewrite, host_rewrite_*).
import type { ForwardActionConfig, RegexRewriteConfig, RouteMatchConfig } from '../resource/route-config.js';
import { pathOnly, type RequestHead } from '../stream/request-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import type { Host } from '../upstream/host.js';
import { compileHeaderFormatter } from './formatter.js';
import { compileRegexRewrite } from './regex.js';
import { firstRequestHeader } from './request-header.js';
import { compileUriTemplateRewrite } from './uri-template.js';

type PathRewrite = (path: string, head: RequestHead, info: StreamInfo) => string;

export interface PathRewriteConfig {
  prefixRewrite?: string;
  regexRewrite?: RegexRewriteConfig;
  templateRewrite?: string;
  pathFormat?: string;
}

/** A new path with the old query, or `undefined` where nothing rewrites it. */
export function compilePathRewrite(match: RouteMatchConfig['path'], action: PathRewriteConfig): PathRewrite | undefined {
  const { prefixRewrite, regexRewrite, templateRewrite, pathFormat } = action;
  if (prefixRewrite !== undefined && prefixRewrite !== '') {
    if (regexRewrite) throw new Error('prefix_rewrite and regex_rewrite exclude each other');
    if (match.kind === 'regex' || match.kind === 'uri-template' || match.kind === 'connect') return (path) => prefixRewrite + path.slice(pathOnly(path).length);
    const { length } = match.value;
    return (path) => prefixRewrite + path.slice(length);
  }
  const replace = compileReplacement(match, regexRewrite, templateRewrite, pathFormat);
  return replace && ((path, head, info) => {
    const plain = pathOnly(path);
    return replace(plain, head, info) + path.slice(plain.length);
  });
}

/** Of the path without its query. */
function compileReplacement(match: RouteMatchConfig['path'], regex: RegexRewriteConfig | undefined, template: string | undefined, format: string | undefined): PathRewrite | undefined {
  if (regex) return compileRegexRewrite(regex);
  if (template !== undefined) {
    if (match.kind !== 'uri-template') throw new Error('path_rewrite_policy needs a route that matches a URI template');
    return compileUriTemplateRewrite(match.value, template);
  }
  if (format === undefined) return undefined;
  const formatter = compileHeaderFormatter(format);
  // An empty path is none.
  return (path, head, info) => formatter(head, info) || path;
}

export type HeadRewrite = (head: RequestHead, info: StreamInfo) => void;

/** What a forwarding route changes of a head before it is sent; `undefined` where nothing. */
export function compileRewrite(match: RouteMatchConfig['path'], action: ForwardActionConfig): HeadRewrite | undefined {
  const path = compilePathRewrite(match, action);
  const host = compileHostRewrite(action);
  if (!path && !host) return undefined;
  const keepsOriginal = action.hostRewrite?.kind === 'format';
  return (head, info) => {
    // The host first: a path regex for the host reads the path as it came.
    if (host) {
      const authority = host(head, info);
      if (authority !== undefined && authority !== '') {
        if (keepsOriginal) head.headers.set('x-envoy-original-host', head.authority);
        setAuthority(head, authority, action.appendXForwardedHost);
      }
    }
    if (path) {
      const rewritten = path(head.path, head, info);
      head.headers.set('x-envoy-original-path', head.path);
      head.path = rewritten;
    }
  };
}

function compileHostRewrite({ hostRewrite }: ForwardActionConfig): ((head: RequestHead, info: StreamInfo) => string | undefined) | undefined {
  switch (hostRewrite?.kind) {
    case 'literal': return () => hostRewrite.value;
    case 'format': return compileHeaderFormatter(hostRewrite.format);
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
