// Redirects of an upstream that the mesh follows itself (internal_redirect_policy), as Envoy's router does.
import type { RequestContext } from '../context/request-context.js';
import type { InternalRedirectConfig } from '../resource/route-config.js';
import type { SelectedRoute } from '../route/route-table.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead } from '../stream/response-head.js';
import type { Downstream, MirrorAttempt, UpstreamAttempt } from './downstream.js';

/** What a request that follows a redirect takes over from the one that was redirected. */
export interface RedirectHistory {
  /** Redirects followed so far. */
  readonly count: number;
  /** By the name of a route: those it redirected to. */
  readonly followed: ReadonlyMap<string, readonly string[]>;
  readonly context: RequestContext | undefined;
  /** Drawn to find the route that the policy was asked about. */
  readonly randomValue?: number | bigint;
}

export interface FollowedRedirect {
  readonly head: RequestHead;
  /** 303: what follows is a GET. */
  readonly dropsBody: boolean;
  readonly history: RedirectHistory;
}

/** Undefined: the redirect is the caller's to follow. `select` finds the route of a head, and with it the number it was drawn with. */
export function followRedirect(
  policy: InternalRedirectConfig, response: ResponseHead, from: RequestHead, route: SelectedRoute, history: RedirectHistory, select: (head: RequestHead) => { route: SelectedRoute | undefined; randomValue?: number | bigint },
): FollowedRedirect | undefined {
  if (!policy.statuses.includes(response.status) || history.count >= policy.maxRedirects) return undefined;
  // Relative ones are not followed.
  const [, scheme, authority, path] = /^(https?):\/\/([^/?#@\s]+)([^#\s]*)/i.exec(response.headers.get('location') ?? '') ?? [];
  if (scheme === undefined || authority === undefined) return undefined;
  const target = scheme.toLowerCase() as RequestHead['scheme'];
  if (target !== from.scheme && (policy.crossScheme === 'no' || (policy.crossScheme === 'safe' && target === 'https'))) return undefined;
  const dropsBody = response.status === 303 && from.method !== 'GET' && from.method !== 'HEAD';
  const head: RequestHead = { ...from, scheme: target, authority, path: path?.startsWith('/') ? path : `/${path ?? ''}`, headers: from.headers.clone(), ...(dropsBody && { method: 'GET' }) };
  head.headers.set('x-envoy-original-url', `${from.scheme}://${from.authority}${from.path}`);
  if (dropsBody) head.headers.remove('content-length');
  for (const name of policy.copyHeaders) {
    head.headers.remove(name);
    for (const value of response.headers.all(name)) head.headers.add(name, value);
  }
  const { route: next, randomValue } = select(head);
  if (!next) return undefined;
  const { name } = next.entry;
  if (policy.allowedRoutes && !policy.allowedRoutes.includes(name)) return undefined;
  const before = history.followed.get(route.entry.name) ?? [];
  if (policy.notPreviousRoutes && before.includes(name)) return undefined;
  const followed = new Map(history.followed).set(route.entry.name, [...before, name]);
  return { head, dropsBody, history: { count: history.count + 1, followed, context: history.context, ...(randomValue !== undefined && { randomValue }) } };
}

/** The caller of a request that follows a redirect: its body went through the filters before, and is sent as they left it. */
export class RedirectedDownstream implements Downstream {
  readonly hasBody = false;
  readonly #caller: Downstream;
  readonly #dropsBody: boolean;

  constructor(caller: Downstream, dropsBody: boolean) {
    this.#caller = caller;
    this.#dropsBody = dropsBody;
  }

  get replayable(): boolean {
    return this.#caller.replayable;
  }

  get bytesSent(): number {
    return this.#caller.bytesSent;
  }

  readBody(): void {}

  limitReplay(): void {}

  filterResponse(pipe: Parameters<Downstream['filterResponse']>[0]): void {
    this.#caller.filterResponse(pipe);
  }

  connect(attempt: UpstreamAttempt, withoutBody = false): void {
    this.#caller.connect(attempt, withoutBody || this.#dropsBody);
  }

  /** Only requests whose body is whole are redirected. A mirror would be sent the body that this one has not. */
  whenWhole(send: () => void): void {
    if (!this.#dropsBody) send();
  }

  mirror(attempt: MirrorAttempt): void {
    this.#caller.mirror(attempt);
  }

  reply(reply: Parameters<Downstream['reply']>[0]): void {
    this.#caller.reply(reply);
  }

  breakOff(error: Error): void {
    this.#caller.breakOff(error);
  }
}
