import { create, type MessageInitShape } from '@weft/xds-api/protobuf';
import { RateLimit_Action_MetaData_Source as Source, RateLimitSchema, type RateLimit } from '@weft/xds-api/route';
import { describe, expect, it } from 'vitest';
import { decodeRateLimits } from './rate-limit.js';
import { Report } from './report.js';

type Init = Exclude<MessageInitShape<typeof RateLimitSchema>, RateLimit>;
type Action = NonNullable<NonNullable<Init['actions']>[number]['actionSpecifier']>;

function decode(init: Init) {
  const report = new Report();
  const [limit] = decodeRateLimits([create(RateLimitSchema, init)], 'rate_limits', report);
  return { limit, problems: report.problems.map(({ path, reason }) => `${path}: ${reason}`) };
}
const actions = (...specifiers: Action[]) => ({ actions: specifiers.map((actionSpecifier) => ({ actionSpecifier })) }) as Required<Pick<Init, 'actions'>>;
const segment = (value: string) => ({ segment: { case: 'key' as const, value } });
const metadataKey = { key: 'ns', path: [segment('a'), segment('b')] };

describe('rate limits of routes', () => {
  it('are read with every action', () => {
    const { limit, problems } = decode({
      stage: 3, disableKey: 'off', limit: { overrideSpecifier: { case: 'dynamicMetadata', value: { metadataKey } } },
      ...actions(
        { case: 'sourceCluster', value: {} }, { case: 'destinationCluster', value: {} }, { case: 'remoteAddress', value: {} },
        { case: 'requestHeaders', value: { headerName: 'X-User', descriptorKey: 'user', skipIfAbsent: true } },
        { case: 'maskedRemoteAddress', value: { v4PrefixMaskLen: 24 } },
        { case: 'genericKey', value: { descriptorValue: 'v' } },
        { case: 'headerValueMatch', value: { descriptorValue: 'v', expectMatch: false, headers: [{ name: 'A' }] } },
        { case: 'queryParameterValueMatch', value: { descriptorKey: 'k', descriptorValue: 'v', queryParameters: [{ name: 'q' }] } },
        { case: 'dynamicMetadata', value: { descriptorKey: 'k', metadataKey, defaultValue: 'd' } },
        { case: 'metadata', value: { descriptorKey: 'k', metadataKey, source: Source.ROUTE_ENTRY, skipIfAbsent: true } },
      ),
    });
    expect(problems).toEqual([]);
    const metadata = { key: 'ns', path: ['a', 'b'] };
    expect(limit).toMatchObject({ stage: 3, disableKey: 'off', limit: metadata });
    expect(limit?.actions).toMatchObject([
      { kind: 'source-cluster' }, { kind: 'destination-cluster' }, { kind: 'remote-address' },
      { kind: 'request-header', header: 'x-user', key: 'user', skipIfAbsent: true },
      { kind: 'masked-remote-address', v4: 24, v6: 128 },
      { kind: 'generic-key', key: 'generic_key', value: 'v' },
      { kind: 'header-value-match', key: 'header_match', value: 'v', expect: false, headers: [{ name: 'a' }] },
      { kind: 'query-parameter-value-match', key: 'k', value: 'v', expect: true, parameters: [{ name: 'q' }] },
      { kind: 'metadata', key: 'k', from: 'dynamic', metadata, default: 'd', skipIfAbsent: false },
      { kind: 'metadata', key: 'k', from: 'route', metadata, default: '', skipIfAbsent: true },
    ]);
  });

  it.each<[string, Init, string]>([
    ['without actions', {}, 'rate_limits[0].actions: must not be empty'],
    ['of a stage that is none', { stage: 11, ...actions({ case: 'sourceCluster', value: {} }) }, 'rate_limits[0].stage: must be 0 to 10, is 11'],
    ['with an action of an extension', actions({ case: 'extension', value: {} }), 'rate_limits[0].actions[0].extension: not supported'],
    ['with an empty action', { actions: [{}] }, 'rate_limits[0].actions[0]: an action is required'],
    ['without a header', actions({ case: 'requestHeaders', value: { descriptorKey: 'k' } }), 'rate_limits[0].actions[0].request_headers.header_name: must not be empty'],
    ['without a value', actions({ case: 'genericKey', value: {} }), 'rate_limits[0].actions[0].generic_key.descriptor_value: must not be empty'],
    ['without headers to match', actions({ case: 'headerValueMatch', value: { descriptorValue: 'v' } }), 'rate_limits[0].actions[0].header_value_match.headers: must not be empty'],
    ['with a mask too long', actions({ case: 'maskedRemoteAddress', value: { v4PrefixMaskLen: 33 } }), 'rate_limits[0].actions[0].masked_remote_address: the masks must be at most 32 and 128 bits long'],
    ['without a metadata path', actions({ case: 'metadata', value: { descriptorKey: 'k', metadataKey: { key: 'a' } } }), 'rate_limits[0].actions[0].metadata.metadata_key: key and path are required'],
  ])('are refused %s', (_what, init, problem) => {
    expect(decode(init).problems).toContain(problem);
  });

  it.each<[Init, string]>([
    [{ hitsAddend: { number: 1n } }, 'rate_limits[0].hits_addend: counts in the rate_limits of a filter only'],
    [{ applyOnStreamDone: true }, 'rate_limits[0].apply_on_stream_done: counts in the rate_limits of a filter only'],
    [{ xRatelimitOption: 1 }, 'rate_limits[0].x_ratelimit_option: not supported'],
    [{ limit: {} }, 'rate_limits[0].limit: one of dynamic_metadata, rate_limit is required'],
    [{ limit: { overrideSpecifier: { case: 'rateLimit', value: { requestsPerUnit: 1 } } } }, 'rate_limits[0].limit.rate_limit.unit: is required'],
  ])('refuse what does not count there (%#)', (init, problem) => {
    expect(decode({ ...actions({ case: 'genericKey', value: { descriptorValue: 'v' } }), ...init }).problems).toEqual([problem]);
  });
});
