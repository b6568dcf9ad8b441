import type { ConformanceCase } from '../conformance-case.js';

const silent = { answer: { instead: 'silence' } } as const;

/** How long the listener of a server lets a request take. */
export const limitCases: readonly ConformanceCase[] = [
  {
    name: 'a stream that lasts longer than max_stream_duration',
    sides: ['server'],
    connectionManager: { common_http_protocol_options: { max_stream_duration: '0.2s' } },
    exchanges: [{ ...silent, expect: { status: 504, grpcStatus: 4, body: 'downstream duration timeout', minimumMs: 150 } }, { expect: {} }],
  },
  {
    name: 'a stream without a byte for stream_idle_timeout',
    sides: ['server'],
    connectionManager: { stream_idle_timeout: '0.2s' },
    exchanges: [{ ...silent, expect: { status: 504, body: 'stream timeout', minimumMs: 150 } }, { expect: {} }],
  },
  {
    name: 'a request that is complete does not mind request_timeout',
    sides: ['server'],
    connectionManager: { request_timeout: '0.1s', common_http_protocol_options: { max_stream_duration: '0.3s' } },
    exchanges: [{ ...silent, expect: { status: 504, grpcStatus: 4, body: 'downstream duration timeout', minimumMs: 250 } }],
  },
];
