// A rate limit service whose answer stands in the request: the value of the descriptor entry `answer` says what it does.
import grpc from '@grpc/grpc-js';
import { create, fromBinary, toBinary } from '@weft/xds-api/protobuf';
import { RateLimitRequestSchema, RateLimitResponse_Code as Code, RateLimitResponse_RateLimit_Unit as Unit, RateLimitResponseSchema, RateLimitUnit, type RateLimitRequest } from '@weft/xds-api/filter-rate-limit';
import { listenGrpc, type PlainBackend } from './case-backend.js';

const bytes = (value: Buffer) => value;
const service = { ShouldRateLimit: { path: '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit', requestStream: false, responseStream: false, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes } } as const;

/** Answers tell what was asked in `x-asked`: the domain, then each descriptor as `key=value,…` and its limit. */
export function listenRateLimits(): Promise<PlainBackend> {
  const server = new grpc.Server();
  server.addService(service, {
    ShouldRateLimit(call: grpc.ServerUnaryCall<Buffer, Buffer>, reply: grpc.sendUnaryData<Buffer>) {
      const request = fromBinary(RateLimitRequestSchema, call.request);
      const answer = request.descriptors.flatMap(({ entries }) => entries).find(({ key }) => key === 'answer')?.value;
      if (answer === 'hang') return;
      if (answer === 'fail') return reply({ code: grpc.status.INTERNAL, details: 'told to fail' });
      const over = answer === 'over';
      const limit = (name: string, requestsPerUnit: number, limitRemaining: number) => ({ code: over ? Code.OVER_LIMIT : Code.OK, currentLimit: { name, requestsPerUnit, unit: Unit.HOUR }, limitRemaining, durationUntilReset: { seconds: 30n } });
      reply(null, Buffer.from(toBinary(RateLimitResponseSchema, create(RateLimitResponseSchema, {
        overallCode: over ? Code.OVER_LIMIT : Code.OK,
        statuses: [limit('first', 10, 4), limit('', 5, 2)],
        responseHeadersToAdd: [{ key: 'x-asked', value: told(request) }],
        requestHeadersToAdd: [{ key: 'x-from-limits', value: 'yes' }],
        ...(over && { rawBody: Buffer.from('too much') }),
        dynamicMetadata: { verdict: over ? 'over' : 'ok' },
      }))));
    },
  } as unknown as grpc.UntypedServiceImplementation);
  return listenGrpc(server);
}

function told({ domain, descriptors }: RateLimitRequest): string {
  return [domain, ...descriptors.map(({ entries, limit, hitsAddend, isNegativeHits }) => `${entries.map(({ key, value }) => `${key}=${value}`).join(' ')}${limit ? ` (${limit.requestsPerUnit} ${RateLimitUnit[limit.unit]})` : ''}${hitsAddend === undefined ? '' : ` ${isNegativeHits ? '-' : '+'}${hitsAddend}`}`)].join('; ');
}
