// envoy.filters.http.buffer: the request waits until all of its body is there, and is refused where that is too much.
import { typeUrl } from '@weft/xds-api';
import { fromBinary } from '@weft/xds-api/protobuf';
import { BufferPerRouteSchema, BufferSchema, type Buffer as BufferMessage } from '@weft/xds-api/filter-body';
import { join, knownFields, Report } from '../../resource/report.js';
import type { LocalReply } from '../../stream/local-reply.js';
import type { HttpFilterFactory, StreamFilter } from '../http-filter.js';

interface BufferConfig {
  readonly maxRequestBytes: number;
}

const fields = knownFields(BufferSchema, ['max_request_bytes']);
const perRouteFields = knownFields(BufferPerRouteSchema, ['disabled', 'buffer']);

/** `null` as override: no buffering on this route. */
export const buffer: HttpFilterFactory<BufferConfig, BufferConfig | null> = {
  name: 'envoy.filters.http.buffer',
  typeUrls: [typeUrl(BufferSchema), typeUrl(BufferPerRouteSchema)],
  messages: [BufferSchema, BufferPerRouteSchema],
  sides: ['client', 'server'],
  parse(_typeUrl, value) {
    const report = new Report();
    const config = decode(fromBinary(BufferSchema, value), '', report);
    report.finish('Buffer');
    return config;
  },
  parseOverride(_typeUrl, value) {
    const { override, ...message } = fromBinary(BufferPerRouteSchema, value);
    const report = new Report();
    report.check(perRouteFields, { ...message, override } as never, '');
    const config = override.case === 'buffer' ? decode(override.value, 'buffer', report) : null;
    if (override.case === undefined) report.add('', 'one of disabled, buffer is required');
    if (override.case === 'disabled' && !override.value) report.add('disabled', 'must be true');
    report.finish('BufferPerRoute');
    return config;
  },
  create: () => ({
    forRoute(config, override) {
      const effective = override === undefined ? config : override;
      if (effective === null) return undefined;
      const stream = bufferStream(effective);
      return () => stream;
    },
  }),
};

function decode(message: BufferMessage, path: string, report: Report): BufferConfig {
  report.check(fields, message, path);
  if (!message.maxRequestBytes) report.add(join(path, 'max_request_bytes'), message.maxRequestBytes === 0 ? 'must be greater than 0' : 'is required');
  return { maxRequestBytes: message.maxRequestBytes ?? 0 };
}

/** Envoy's answer to more than a filter may buffer. */
const tooLarge: LocalReply = { status: 413, body: 'Payload Too Large', details: 'request_payload_too_large' };

/** Stateless, so one object serves every request. */
function bufferStream({ maxRequestBytes }: BufferConfig): StreamFilter {
  return {
    decodeHeaders(head, _info, stream) {
      if (!stream.requestHasBody) return undefined;
      return stream.bufferBody(maxRequestBytes).then((body) => {
        if (!body) return tooLarge;
        // A gRPC call has no use for its length.
        if (head.protocol === 'http' && !head.headers.has('content-length')) {
          head.headers.set('content-length', String(body.length));
          head.headers.remove('transfer-encoding');
        }
        return undefined;
      });
    },
  };
}
