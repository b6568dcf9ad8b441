import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromJson, toBinary, type JsonValue } from '@weft/xds-api/protobuf';
import { TapSchema } from '@weft/xds-api/filter-body';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HeaderMap } from '../../stream/header-map.js';
import { requestHead, streamInfo } from '../../route/test-support.js';
import { prometheusText } from '../../telemetry/prometheus.js';
import { Stats } from '../../telemetry/stats.js';
import { noBodies } from '../test-filters.js';
import { tap } from './tap.js';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'weft-tap-'))));
afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));

const parse = (json: JsonValue) => tap.parse('', toBinary(TapSchema, fromJson(TapSchema, json)));
const configOf = (match: object, output: object = {}, more: object = {}, sink: object = {}): JsonValue => ({
  common_config: { static_config: { match, output_config: { sinks: [{ format: 'JSON_BODY_AS_STRING', file_per_tap: { path_prefix: join(folder, (output as { streaming?: boolean }).streaming ? 's' : 'b') }, ...sink }], ...output } } }, ...more,
}) as JsonValue;

/** One exchange through the filter; chunks and trailers of both sides. */
function exchange(config: JsonValue, { status = 200, request = ['abc', 'def'], response = ['hello'], trailers = {}, path = '/p' }: { status?: number; request?: string[]; response?: string[]; trailers?: Record<string, string>; path?: string } = {}) {
  const stats = new Stats();
  const filter = tap.create({ random: () => 0.5, now: () => 0, setTimeout: () => ({ cancel() {} }), stats });
  const stream = filter.forRoute(parse(config), undefined, undefined as never)!();
  const info = streamInfo({ direction: 'inbound', downstreamLocalAddress: '10.0.0.1:80', downstreamRemoteAddress: '[::1]:5000' });
  const head = requestHead(path, { 'x-a': '1' });
  stream.decodeHeaders?.(head, info, noBodies);
  const through = (body: ReturnType<NonNullable<typeof stream.decodeBody>>, chunks: string[], last: HeaderMap) => {
    for (const chunk of chunks) if (body) expect(Buffer.from(body.data!(Buffer.from(chunk), () => undefined) as Uint8Array).toString()).toBe(chunk);
    void body?.end?.(last, () => undefined);
  };
  through(stream.decodeBody?.(head, info), request, new HeaderMap());
  const responseHead = { status, headers: HeaderMap.from({ 'x-b': '2' }) };
  stream.encodeHeaders?.(responseHead, info, noBodies);
  through(stream.encodeBody?.(responseHead, info), response, HeaderMap.from(trailers));
  stream.onComplete?.(info);
  return stats;
}

const files = () => readdir(folder);

/** The documents of the one file, once there are so many. */
async function written(prefix: string, documents: number): Promise<Record<string, unknown>[]> {
  return vi.waitFor(async () => {
    const all = (await files()).filter((name) => name.startsWith(`${prefix}_`));
    expect(all.length).toBe(1);
    const text = await readFile(join(folder, all[0]!), 'utf8');
    const parts = text.split(/(?<=^\}\n)/m);
    expect([parts.length, text.endsWith('}\n')]).toEqual([documents, true]);
    return parts.map((part) => JSON.parse(part) as Record<string, unknown>);
  });
}
const any = { any_match: true };
const header = (name: string, exact: string) => ({ headers: [{ name, string_match: { exact } }] });

describe('a tap', () => {
  it('writes an exchange into a file of its own, bodies up to the limit', async () => {
    const stats = exchange(configOf(any, { max_buffered_rx_bytes: 4 }, { record_downstream_connection: true, record_headers_received_time: true }), { trailers: { 'x-t': '3' } });
    const [{ http_buffered_trace: trace }] = (await written('b', 1)) as [{ http_buffered_trace: Record<string, unknown> }];
    const entry = (key: string, value: string) => ({ key, value, raw_value: '' });
    expect(trace).toEqual({
      request: { headers: expect.arrayContaining([entry(':path', '/p'), entry(':method', 'GET'), entry('x-a', '1')]), body: { as_string: 'abcd', truncated: true }, trailers: [], headers_received_time: expect.stringMatching(/Z$/) },
      response: { headers: [entry(':status', '200'), entry('x-b', '2')], body: { as_string: 'hello', truncated: false }, trailers: [entry('x-t', '3')], headers_received_time: expect.stringMatching(/Z$/) },
      downstream_connection: {
        local_address: { socket_address: { protocol: 'TCP', address: '10.0.0.1', port_value: 80, resolver_name: '', ipv4_compat: false } },
        remote_address: { socket_address: { protocol: 'TCP', address: '::1', port_value: 5000, resolver_name: '', ipv4_compat: false } },
      },
    });
    expect(prometheusText(stats)).toContain('envoy_http_tap_rq_tapped 1');
  });

  it('that streams keeps no more than its limit while it does not know whether it matches', async () => {
    const match = { http_response_headers_match: header(':status', '404') };
    exchange(configOf(match, { streaming: true, max_buffered_rx_bytes: 4 }), { status: 404, request: Array.from({ length: 100 }, () => 'abc') });
    // Both heads, two chunks of the request, the response's.
    expect((await written('s', 5)).map((document) => Object.keys(document['http_streamed_trace_segment'] as object)[1])).toEqual(['request_headers', 'request_body_chunk', 'request_body_chunk', 'response_headers', 'response_body_chunk']);
  });

  it('writes pieces as they come where it streams, bytes as base64', async () => {
    exchange(configOf(any, { streaming: true, max_buffered_tx_bytes: 2 }, {}, { format: 'JSON_BODY_AS_BYTES' }), { trailers: { 'x-t': '3' } });
    const segments = (await written('s', 6)).map((one) => one['http_streamed_trace_segment'] as Record<string, unknown>);
    expect(segments.map((segment) => Object.keys(segment)[1])).toEqual(['request_headers', 'request_body_chunk', 'request_body_chunk', 'response_headers', 'response_body_chunk', 'response_trailers']);
    expect(new Set(segments.map(({ trace_id: id }) => id)).size).toBe(1);
    expect([segments[1]!['request_body_chunk'], segments[4]!['response_body_chunk']]).toEqual([{ as_bytes: 'YWJj', truncated: false }, { as_bytes: 'aGU=', truncated: true }]);
  });

  it.each<[string, object, boolean]>([
    ['request headers', { http_request_headers_match: header('x-a', '1') }, true],
    ['other request headers', { http_request_headers_match: header('x-a', '2') }, false],
    ['the path', { http_request_headers_match: header(':path', '/p') }, true],
    ['the status', { http_response_headers_match: header(':status', '404') }, true],
    ['another status', { http_response_headers_match: header(':status', '200') }, false],
    ['trailers', { http_response_trailers_match: header('x-t', '3') }, true],
    ['trailers that do not come', { http_request_trailers_match: header('x-t', '3') }, false],
    ['the opposite', { not_match: { http_response_headers_match: header(':status', '404') } }, false],
    ['the opposite of what does not come', { not_match: { http_request_trailers_match: header('x-t', '3') } }, true],
    ['both', { and_match: { rules: [any, { http_response_headers_match: header(':status', '404') }] } }, true],
    ['one of both', { or_match: { rules: [{ http_request_headers_match: header('x-a', '2') }, { http_response_headers_match: header(':status', '404') }] } }, true],
    ['not both', { and_match: { rules: [any, { http_request_headers_match: header('x-a', '2') }] } }, false],
  ])('matches by %s, whether it streams or not', async (_name, match, expected) => {
    for (const streaming of [false, true]) exchange(configOf(match, { streaming }), { status: 404, trailers: { 'x-t': '3' } });
    // What nothing matches leaves nothing, also a moment later.
    exchange(configOf(any, {}, {}, { file_per_tap: { path_prefix: join(folder, 'last') } }));
    await written('last', 1);
    if (expected) await Promise.all([written('b', 1), written('s', 6)]);
    else expect((await files()).length).toBe(1);
  });

  it('takes a share of all exchanges, and counts what it cannot write', async () => {
    const none = configOf(any) as { common_config: { static_config: Record<string, unknown> } };
    none.common_config.static_config['tap_enabled'] = { default_value: { numerator: 40 } };
    exchange(none as never);
    expect(await files()).toEqual([]);
    const stats = exchange(configOf(any, {}, {}, { file_per_tap: { path_prefix: join(folder, 'missing', 'tap') } }));
    await vi.waitFor(() => expect(prometheusText(stats)).toContain('weft_http_tap_write_failures 1'));
  });

  it.each<[string, () => JsonValue, RegExp]>([
    ['an admin tap', () => ({ common_config: { admin_config: { config_id: 'x' } } }), /common_config\.admin_config: not supported: a library has no admin interface/],
    ['no configuration', () => ({}), /common_config: is required/],
    ['no match', () => ({ common_config: { static_config: { output_config: { sinks: [{ file_per_tap: { path_prefix: 'a' } }] } } } }), /match: is required/],
    ['a set of one', () => configOf({ and_match: { rules: [any] } }), /and_match\.rules: must be two or more/],
    ['a match of bodies', () => configOf({ http_request_generic_body_match: { patterns: [{ string_match: 'x' }] } }), /http_request_generic_body_match: not supported/],
    ['another format', () => configOf(any, {}, {}, { format: 'PROTO_TEXT' }), /format: PROTO_TEXT is not supported/],
    ['another sink', () => ({ common_config: { static_config: { match: any, output_config: { sinks: [{ streaming_admin: {} }] } } } }), /streaming_admin: not supported/],
  ])('%s is refused', (_name, json, reason) => {
    expect(() => parse(json())).toThrow(reason);
  });
});
