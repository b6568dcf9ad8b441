import type { HeaderMap } from './header-map.js';

/**
 * The head of one request, whatever carried it. Filters and routes may change it until it is sent; the path includes the
 * query. gRPC requests are POSTs of `/package.Service/Method` with metadata as headers.
 */
export interface RequestHead {
  readonly protocol: 'http' | 'grpc';
  method: string;
  scheme: 'http' | 'https';
  /** Host and port as the application (outbound) or the peer (inbound) wrote them. */
  authority: string;
  path: string;
  headers: HeaderMap;
  /** What the connection shall change to (`websocket`), as the headers say, too. Absent: nothing. */
  readonly upgrade?: string;
}

/** The path without query and fragment, on which routes and policies match. */
export function pathOnly(path: string): string {
  const query = path.indexOf('?');
  const end = query === -1 ? path.length : query;
  const fragment = path.indexOf('#');
  return path.slice(0, fragment !== -1 && fragment < end ? fragment : end);
}
