// The one meaning of a request path, in Envoy's order (HCM path normalisation). What comes out is judged by policies and routed on by
// the application; what has no single meaning is refused. One pass: a second one would turn `%252e` into a dot.
import type { LocalReply } from '../stream/local-reply.js';

export interface PathNormalizationOptions {
  normalizePath: boolean;
  mergeSlashes: boolean;
  escapedSlashes: 'keep' | 'reject' | 'unescape-and-redirect' | 'unescape-and-forward';
}

// Nothing here that any step would look at: most paths.
const plain = /^\/(?![./])(?:(?!\/[./])[!$&-;=@A-Z[\]^_a-z{|}~"'`<>])*(?:\?[!"$-~]*)?$/;

/** @returns the path (with its query), or why it is refused. */
export function normalizePath(target: string, options: PathNormalizationOptions): string | LocalReply {
  if (plain.test(target)) return target;
  // Envoy strips a fragment; a client that sends one is broken or probing (Istio GHSA-hqxw-mm44-gc4r).
  if (target.includes('#')) return badRequest('path_with_fragment');
  if (!/^[\x21-\x7e]*$/.test(target)) return badRequest('path_invalid_characters');
  const mark = target.indexOf('?');
  const query = mark === -1 ? '' : target.slice(mark);
  const original = mark === -1 ? target : target.slice(0, mark);
  if (!original.startsWith('/')) return badRequest('path_not_absolute');
  if (!isDecodable(original)) return badRequest('path_invalid_escape');
  let path = original;
  if (/%2f|%5c/i.test(path)) {
    if (options.escapedSlashes === 'reject') return badRequest('path_with_escaped_slashes');
    if (options.escapedSlashes !== 'keep') {
      path = path.replace(/%2f/gi, '/').replace(/%5c/gi, '\\');
      if (options.escapedSlashes === 'unescape-and-redirect') return redirect(finish(path, options) + query);
    }
  }
  return finish(path, options) + query;
}

function finish(path: string, { normalizePath: normalize, mergeSlashes }: PathNormalizationOptions): string {
  let result = path;
  if (normalize) result = removeDotSegments(decodeUnreserved(result).replaceAll('\\', '/'));
  // All of them, where Envoy leaves two of a path of nothing else: `//` is the authority of a URL to many applications, and may throw.
  if (mergeSlashes) result = result.replace(/\/{2,}/g, '/');
  return result;
}

function decodeUnreserved(path: string): string {
  return path.replace(/%[0-9a-f]{2}/gi, (escape) => {
    const character = String.fromCharCode(parseInt(escape.slice(1), 16));
    return /[A-Za-z0-9\-._~]/.test(character) ? character : escape;
  });
}

/** RFC 3986 §5.2.4. */
function removeDotSegments(path: string): string {
  if (!/\/\.{1,2}(?:\/|$)/.test(path)) return path;
  const output: string[] = [];
  const segments = path.split('/').slice(1);
  segments.forEach((segment, index) => {
    const last = index === segments.length - 1;
    if (segment === '..') output.pop();
    if (segment !== '.' && segment !== '..') output.push(segment);
    else if (last) output.push('');
  });
  return `/${output.join('/')}`;
}

/** Complete escapes, valid UTF-8, no NUL: what every decoder after us reads the same way. */
function isDecodable(path: string): boolean {
  try {
    return !decodeURIComponent(path).includes('\u0000');
  } catch {
    return false;
  }
}

function badRequest(details: string): LocalReply {
  return { status: 400, body: 'bad request path', details };
}

function redirect(location: string): LocalReply {
  // `//host` as a location would lead away from here.
  return { status: 307, body: '', headers: [['location', location.replace(/^\/{2,}/, '/')]], details: 'path_normalized_redirect' };
}
