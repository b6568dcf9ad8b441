import { describe, expect, it } from 'vitest';
import type { HeaderMutationConfig } from '../resource/route-config.js';
import { HeaderMap } from '../stream/header-map.js';
import { compileTimeFormat } from './time-format.js';
import { compileFormatter } from './formatter.js';
import { compileHeaderMutation } from './header-mutation.js';
import { edits, requestHead, streamInfo } from './test-support.js';

function edited(config: HeaderMutationConfig, headers: Record<string, string | string[]> = {}) {
  const head = requestHead('/a?b', headers);
  compileHeaderMutation(config, 'request')?.applyToRequest(head, streamInfo({ peer: { spiffeId: 'spiffe://td/ns/a/sa/b', trustDomain: 'td' } }));
  return head;
}

describe('header edits', () => {
  it.each<[HeaderMutationConfig['add'][number]['action'], string[], string[]]>([
    ['append-if-exists-or-add', ['old'], ['old', 'new']], ['append-if-exists-or-add', [], ['new']],
    ['add-if-absent', ['old'], ['old']], ['add-if-absent', [], ['new']],
    ['overwrite-if-exists-or-add', ['old', 'older'], ['new']], ['overwrite-if-exists-or-add', [], ['new']],
    ['overwrite-if-exists', ['old', 'older'], ['new']], ['overwrite-if-exists', [], []],
  ])('%s on %j gives %j', (action, before, after) => {
    expect(edited(edits({ X: 'new' }, [], action), { x: before }).headers.all('x')).toEqual(after);
  });

  it('remove before they add, and read values as they were before the additions', () => {
    const config = edits({ x: 'new', y: 'was %REQ(x)%', z: '%REQ(gone)%' }, ['Gone', 'x']);
    const { headers } = edited(config, { x: 'old', gone: '1' });
    expect([...headers]).toEqual([['x', 'new'], ['y', 'was ']]);
  });

  it('overwrite before they add, and look for a header before either', () => {
    const add = [...edits({ x: '1' }).add, ...edits({ y: '2' }, [], 'add-if-absent').add, ...edits({ y: '3' }, [], 'add-if-absent').add, ...edits({ x: '4' }, [], 'overwrite-if-exists-or-add').add, ...edits({ z: '5' }, [], 'overwrite-if-exists').add];
    const { headers } = edited({ add: [...add, ...edits({ z: '6' }).add], remove: [] }, { x: 'old' });
    expect([...headers]).toEqual([['x', '4'], ['x', '1'], ['y', '2'], ['y', '3'], ['z', '6']]);
  });

  it('never make more than one line of a value, and send as UTF-8 what latin1 has not', () => {
    const head = requestHead('/', {});
    const info = streamInfo({ metadata: new Map([['auth', { user: 'a\r\nx-admin: 1\u0000', name: 'é\u0142' }]]) as never, requestedServerName: 'a\nb' });
    compileHeaderMutation(edits({ x: '%DYNAMIC_METADATA(auth:user)%', y: '%DYNAMIC_METADATA(auth:name)%', z: '%REQUESTED_SERVER_NAME%' }), 'request')!.applyToRequest(head, info);
    expect([...head.headers]).toEqual([['x', 'a__x-admin: 1_'], ['y', `é${Buffer.from('\u0142').toString('latin1')}`], ['z', 'a_b']]);
  });

  it('read the first value of a header that is there twice, and - where a response has no flag', () => {
    const config = edits({ y: '%REQ(x)%' });
    expect(edited(config, { x: ['1', '2'] }).headers.get('y')).toBe('1');
    const response = { status: 200, headers: HeaderMap.from({ x: ['a', 'b'] }) };
    expect(['%RESP(x)%', '%RESPONSE_FLAGS%'].map((text) => compileFormatter(text)(requestHead(), streamInfo(), response))).toEqual(['a', '-']);
  });

  it('leave out what is empty unless it is to be kept', () => {
    const keep: HeaderMutationConfig = { add: [{ name: 'x', value: '%REQ(none)%', action: 'append-if-exists-or-add', keepEmpty: true }], remove: [] };
    expect(edited(keep).headers.get('x')).toBe('');
    expect(edited(edits({ x: '%REQ(none)%' })).headers.has('x')).toBe(false);
  });

  it('may overwrite authority, path and method', () => {
    const head = edited(edits({ ':authority': 'other', ':path': '/x', ':method': 'POST' }, [], 'overwrite-if-exists-or-add'));
    expect([head.authority, head.path, head.method, head.headers.raw]).toEqual(['other', '/x', 'POST', []]);
  });

  it.each([
    [edits({ ':authority': 'a' }), 'request'], [edits({}, [':path']), 'request'], [edits({}, ['Host']), 'request'], [edits({ ':scheme': 'a' }, [], 'overwrite-if-exists'), 'request'],
    [edits({ ':status': '200' }, [], 'overwrite-if-exists'), 'response'],
  ] as const)('%j are refused for a %s', (config, of) => {
    expect(() => compileHeaderMutation(config, of)).toThrow(/must not be/);
  });

  it('refuse what is no header name', () => {
    expect(() => compileHeaderMutation(edits({ 'a b': '1' }), 'request')).toThrow(/not a header name/);
  });

  it('cost nothing where there are none', () => {
    expect(compileHeaderMutation(edits({}), 'request')).toBeUndefined();
  });
});

describe('substitutions', () => {
  const info = streamInfo({
    startTime: 5, httpVersion: 'HTTP/2', downstreamRemoteAddress: '10.0.0.1:5000', downstreamLocalAddress: '[::1]:80', upstreamAddress: '10.0.0.9:80', clusterName: 'c', routeName: 'r', flags: ['UH', 'DI'],
    responseCodeDetails: 'd', status: 418, requestedServerName: 'sni', peer: { spiffeId: 'spiffe://td/ns/a/sa/b', trustDomain: 'td' },
  });
  const response = { status: 201, headers: new HeaderMap(['x', 'r1', 'x', 'r2']) };
  it.each([
    ['plain', 'plain'], ['50%%', '50%'], ['%REQ(X)%', '1'], ['%REQ(none?X)%', '1'], ['%REQ(X?none)%', '1'], ['%REQ(X):2%', '1'], ['[%REQ(none)%]', '[]'], ['%REQ(:path)%', '/a?b'], ['%REQ(:AUTHORITY)%', 'payments'],
    ['%RESP(X)%', 'r1'], ['%RESP(:status)%', '201'], ['%PROTOCOL%', 'HTTP/2'], ['%DOWNSTREAM_REMOTE_ADDRESS%', '10.0.0.1:5000'], ['%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%', '10.0.0.1'],
    ['%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%', '::1'], ['%DOWNSTREAM_PEER_URI_SAN%', 'spiffe://td/ns/a/sa/b'], ['%UPSTREAM_HOST%', '10.0.0.9:80'], ['%UPSTREAM_CLUSTER%', 'c'], ['%ROUTE_NAME%', 'r'],
    ['%RESPONSE_FLAGS%', 'UH,DI'], ['%RESPONSE_CODE%', '201'], ['%RESPONSE_CODE_DETAILS%', 'd'], ['%REQUESTED_SERVER_NAME%', 'sni'], ['a%PROTOCOL%b%%c%UPSTREAM_HOST%', 'aHTTP/2b%c10.0.0.9:80'],
  ])('%s gives %s', (text, expected) => {
    expect(compileFormatter(text)(requestHead('/a?b', { x: ['1', '2'] }), info, response)).toBe(expected);
  });

  it.each<[string, string]>([
    ['%PATH%', '/a?b=1&c'], ['%PATH(NQ)%', '/a'], ['%PATH(WQ:PATH)%', '/a?b=1&c'], ['%QUERY_PARAM(b)%', '1'], ['%QUERY_PARAM(none)%|', '|'], ['%DYNAMIC_METADATA(f:a)%', 'text'], ['%DYNAMIC_METADATA(f:b)%', '{"c":1}'], ['%DYNAMIC_METADATA(f:b:c)%', '1'],
    ['%DYNAMIC_METADATA(none:a)%', ''], ['%FILTER_STATE(k)%', 'state'], ['%FILTER_STATE(none:PLAIN)%', ''], ['%TRACE_ID%', '0af7651916cd43dd8448eb211c80319c'], ['%ENVIRONMENT(WEFT_TEST_NONE)%', ''], ['%RESPONSE_FLAGS%', '-'],
    ['%REQUEST_HEADER(x?y):2%', 'he'], ['%DOWNSTREAM_LOCAL_PORT%', '80'], ['%DOWNSTREAM_REMOTE_PORT%', '123'], ['%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%', '::1'], ['%UPSTREAM_REQUEST_ATTEMPT_COUNT%', '1'], ['%DOWNSTREAM_LOCAL_URI_SAN%', 'spiffe://td/ns/a/sa/b'], ['%VIRTUAL_CLUSTER_NAME%', ''],
  ])('%s is %s', (text, expected) => {
    const known = streamInfo({ metadata: new Map([['f', { a: 'text', b: { c: 1 } }]]), filterState: new Map([['k', 'state']]), localUriSan: () => 'spiffe://td/ns/a/sa/b', downstreamLocalAddress: '10.0.0.1:80', downstreamRemoteAddress: '[::1]:123' });
    expect(compileFormatter(text)(requestHead('/a?b=1&c', { y: 'header', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }), known)).toBe(expected);
  });

  it('UNIQUE_ID differs from request to request, HOSTNAME does not', () => {
    const unique = compileFormatter('%UNIQUE_ID%');
    expect(unique(requestHead(), info)).not.toBe(unique(requestHead(), info));
    expect(compileFormatter('%HOSTNAME%')(requestHead(), info)).not.toBe('');
  });

  it.each([['%Y-%m-%dT%H:%M:%S.%3fZ', '2026-11-28T01:24:45.883Z'], ['%s', '1795829085'], ['%6f', '883756'], ['%9f|%f|%1f', '883756000|883756000|8'], ['%F %T %Z %z', '2026-11-28 01:24:45 UTC +0000'], ['%a, %d %b %Y %I %p %j %e %y %%', 'Sat, 28 Nov 2026 01 AM 332 28 26 %']])('START_TIME(%s) is %s', (format, expected) => {
    expect(compileTimeFormat(format)(1_795_829_085_883.756)).toBe(expected);
  });

  it('START_TIME is the start of the request in ISO form', () => {
    expect(compileFormatter('%START_TIME%')(requestHead(), info)).toBe(new Date(performance.timeOrigin + 5).toISOString());
  });

  it.each(['%NOPE%', '%REQ%', '%REQ()%', '%REQ(a?b?c)%', '100%', '% %', '%PROTOCOL(x)%', '%START_TIME(%Q)%', '%CONNECTION_ID%', '%DYNAMIC_METADATA%', '%QUERY_PARAM()%', '%PATH(X)%', '%FILTER_STATE(a:b)%', '%ENVIRONMENT%', '%REQ(x'])('%s is refused', (text) => {
    expect(() => compileFormatter(text)).toThrow();
  });
});
