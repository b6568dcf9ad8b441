import { describe, expect, it, vi } from 'vitest';
import { HeaderMap } from '../stream/header-map.js';
import type { HttpFilterConfig } from '../resource/listener-config.js';
import type { LocalReply } from '../stream/local-reply.js';
import { requestHead, streamInfo } from '../route/test-support.js';
import { FilterChain, type FilterHost } from './filter-chain.js';
import { disabledFilter, enabledFilter } from './filter-override.js';
import { plainRouteInfo } from './route-filter-info.js';
import type { HttpFilterFactory, StreamFilter } from './http-filter.js';

const context = { random: () => 0, now: () => 0, setTimeout: () => ({ cancel: () => undefined }) };
const info = streamInfo();
const host: FilterHost = { requestHasBody: false, readBody: () => undefined, endWith: () => undefined, responseFailed: () => undefined, responseEnd: () => undefined };
const response = () => ({ status: 200, headers: new HeaderMap() });
const plainRoute = { filterOverrides: () => undefined, filterInfo: plainRouteInfo };
const overriding = (overrides: Record<string, unknown>) => ({ filterOverrides: (name: string) => overrides[name], filterInfo: plainRouteInfo });

/** A factory whose stream filters come from `make`, with what it was given. */
function factory(make: (config: unknown, override: unknown) => StreamFilter | undefined) {
  const closed = vi.fn();
  const created = vi.fn();
  const of: HttpFilterFactory = {
    name: 'test', typeUrls: [], sides: ['client'], parse: () => undefined,
    create() {
      created();
      return { forRoute: (config, override) => { const filter = make(config, override); return filter && (() => filter); }, close: closed };
    },
  };
  return { of, created, closed };
}

const entry = (name: string, of: HttpFilterFactory, more: Partial<HttpFilterConfig> = {}): HttpFilterConfig => ({ name, factory: of, config: name, disabled: false, ...more });
const chainOf = (...filters: (readonly [string, StreamFilter])[]) => new FilterChain(filters.map(([name, filter]) => entry(name, factory(() => filter).of)), context);
const startOn = (chain: FilterChain) => {
  const running = chain.forRoute(plainRoute)?.start(host);
  if (!running) throw new Error('nothing runs');
  return running;
};

describe('filter chain', () => {
  it('decodes in order, encodes in reverse, completes all, once', () => {
    const log: string[] = [];
    const logging = (name: string): StreamFilter => ({ decodeHeaders: () => void log.push(`+${name}`), encodeHeaders: () => void log.push(`-${name}`), onComplete: () => void log.push(`.${name}`) });
    const running = startOn(chainOf(['a', logging('a')], ['b', logging('b')]));
    expect(running.decode(requestHead(), info)).toBeUndefined();
    running.encode(response(), info);
    running.complete(info);
    running.complete(info);
    expect(log).toEqual(['+a', '+b', '-b', '-a', '.a', '.b']);
  });

  it('a reply ends it there; all filters see the reply and complete', () => {
    const reply: LocalReply = { status: 403, body: '', details: 'no' };
    const first = { encodeHeaders: vi.fn(), onComplete: vi.fn() };
    const second = { decodeHeaders: () => reply, encodeHeaders: vi.fn() };
    const third = { decodeHeaders: vi.fn(), encodeHeaders: vi.fn(), onComplete: vi.fn() };
    const running = startOn(chainOf(['a', first], ['b', second], ['c', third]));
    expect(running.decode(requestHead(), info)).toBe(reply);
    running.encode(response(), info);
    running.complete(info);
    expect([first.encodeHeaders, second.encodeHeaders, third.encodeHeaders].map((fn) => fn.mock.calls.length)).toEqual([1, 1, 1]);
    expect(third.decodeHeaders).not.toHaveBeenCalled();
    expect([first.onComplete, third.onComplete].map((fn) => fn.mock.calls.length)).toEqual([1, 1]);
  });

  it('waits for a filter, then goes on', async () => {
    const gate = Promise.withResolvers<undefined>();
    const later = vi.fn();
    const running = startOn(chainOf(['a', { decodeHeaders: () => gate.promise }], ['b', { decodeHeaders: later }]));
    const result = running.decode(requestHead(), info);
    expect(later).not.toHaveBeenCalled();
    gate.resolve(undefined);
    expect(await result).toBeUndefined();
    expect(later).toHaveBeenCalledOnce();
  });

  it('does not go on after the request has ended meanwhile', async () => {
    const gate = Promise.withResolvers<undefined>();
    const later = vi.fn();
    const running = startOn(chainOf(['a', { decodeHeaders: () => gate.promise }], ['b', { decodeHeaders: later }]));
    const result = running.decode(requestHead(), info);
    running.complete(info);
    gate.resolve(undefined);
    await result;
    expect(later).not.toHaveBeenCalled();
  });

  it('a filter that throws or rejects ends the request with 500', async () => {
    const error = new Error('broken');
    const later = vi.fn();
    const thrown = startOn(chainOf(['a', { decodeHeaders: () => { throw error; } }], ['b', { decodeHeaders: later }])).decode(requestHead(), info);
    expect(thrown).toMatchObject({ status: 500, details: 'filter_failed{a}', error });
    const rejected = await startOn(chainOf(['a', { decodeHeaders: () => Promise.reject(error) }], ['b', { decodeHeaders: later }])).decode(requestHead(), info);
    expect(rejected).toMatchObject({ status: 500, details: 'filter_failed{a}', error });
    expect(later).not.toHaveBeenCalled();
  });

  it('is composed once a route, and is nothing where no filter has anything to do', () => {
    const make = vi.fn(() => undefined);
    const chain = new FilterChain([entry('a', factory(make).of)], context);
    expect(chain.forRoute(plainRoute)).toBeUndefined();
    expect(chain.forRoute({ ...plainRoute })).toBeUndefined();
    expect(make).toHaveBeenCalledOnce();
    const some = chainOf(['a', {}]);
    expect(some.forRoute(plainRoute)).toBe(some.forRoute(plainRoute));
  });

  it('gives a filter its configuration and the override of the route', () => {
    const make = vi.fn((_config: unknown, _override: unknown): StreamFilter => ({}));
    new FilterChain([entry('a', factory(make).of)], context).forRoute(overriding({ a: 'override' }));
    expect(make).toHaveBeenCalledWith('a', 'override');
  });

  it('a filter the listener disables runs only where a route has something for it; a route can disable one', () => {
    const make = vi.fn((_config: unknown, _override: unknown): StreamFilter => ({}));
    const chain = new FilterChain([entry('a', factory(make).of, { disabled: true })], context);
    expect(chain.forRoute(plainRoute)).toBeUndefined();
    expect(chain.forRoute(overriding({ a: 'override' }))).toBeDefined();
    expect(chain.forRoute(overriding({ a: enabledFilter }))).toBeDefined();
    expect(make.mock.calls).toEqual([['a', 'override'], ['a', undefined]]);
    expect(new FilterChain([entry('a', factory(make).of)], context).forRoute(overriding({ a: disabledFilter }))).toBeUndefined();
  });

  it('tells a filter of every level of the route, without those that only switch it', () => {
    const forRoute = vi.fn(() => undefined);
    const of: HttpFilterFactory = { name: 'test', typeUrls: [], sides: ['client'], parse: () => undefined, create: () => ({ forRoute }) };
    const filterInfo = { ...plainRouteInfo, metadata: { a: { b: 1 } }, overrides: (name: string) => (name === 'a' ? ['table', enabledFilter, 'host', disabledFilter, 'route'] : []) };
    new FilterChain([entry('a', of)], context).forRoute({ filterOverrides: () => 'route', filterInfo });
    expect(forRoute).toHaveBeenCalledWith('a', 'route', { overrides: ['table', 'host', 'route'], metadata: { a: { b: 1 } }, rateLimits: plainRouteInfo.rateLimits, forwards: true });
  });

  it('follows the clusters that its filters call while it is open, each once', () => {
    const log: string[] = [];
    const clusters = { hold: (name: string) => (log.push(`+${name}`), () => void log.push(`-${name}`)), unary: vi.fn(), fetch: vi.fn(), membership: vi.fn() };
    const of = (name: string): HttpFilterFactory => ({ ...factory(() => undefined).of, clusters: () => [name] });
    const chain = new FilterChain([entry('a', of('limits')), entry('b', of('limits')), entry('c', of('keys'))], { ...context, clusters });
    expect(log).toEqual(['+limits', '+keys']);
    chain.close();
    chain.close();
    expect(log).toEqual(['+limits', '+keys', '-limits', '-keys']);
  });

  it('state survives updates by name and is closed with its last chain', () => {
    const { of, created, closed } = factory(() => undefined);
    const first = new FilterChain([entry('a', of), entry('b', of)], context);
    const second = new FilterChain([entry('a', of)], context, first);
    expect(created).toHaveBeenCalledTimes(2);
    first.close();
    first.close();
    expect(closed).toHaveBeenCalledTimes(1);
    second.close();
    expect(closed).toHaveBeenCalledTimes(2);
    // What is closed is not taken over.
    new FilterChain([entry('a', of)], context, second);
    expect(created).toHaveBeenCalledTimes(3);
  });
});
