// envoy.filters.http.grpc_web: gRPC for browsers. Requests become plain gRPC; trailers, which a browser does not get to see, the last
// frame of the response's body (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md).
import { typeUrl } from '@weft/xds-api';
import { fromBinary } from '@weft/xds-api/protobuf';
import { GrpcWebSchema } from '@weft/xds-api/filter-body';
import { knownFields, Report } from '../../resource/report.js';
import type { HeaderMap } from '../../stream/header-map.js';
import type { LocalReply } from '../../stream/local-reply.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import type { BodyFilter, FilterStream, HttpFilterFactory, StreamFilter } from '../http-filter.js';

const fields = knownFields(GrpcWebSchema, []);

export const grpcWebFilterName = 'envoy.filters.http.grpc_web';

export const grpcWeb: HttpFilterFactory<void> = {
  name: grpcWebFilterName,
  typeUrls: [typeUrl(GrpcWebSchema)],
  messages: [GrpcWebSchema],
  sides: ['server'],
  parse(_typeUrl, value) {
    const report = new Report();
    report.check(fields, fromBinary(GrpcWebSchema, value), '');
    report.finish('GrpcWeb');
  },
  create: () => ({ forRoute: () => grpcWebStream }),
};

const webType = /^application\/grpc-web(-text)?(\+proto)?$/;

function grpcWebStream(): StreamFilter {
  let stream: FilterStream | undefined;
  let textRequest = false;
  let textResponse = false;
  let isGrpc = false;
  return {
    decodeHeaders(head, _info, of) {
      const { headers } = head;
      const type = webType.exec(headers.get('content-type') ?? '');
      if (!type) return undefined;
      stream = of;
      textRequest = type[1] !== undefined;
      textResponse = webType.exec(headers.get('accept') ?? '')?.[1] !== undefined;
      headers.set('content-type', 'application/grpc');
      headers.set('te', 'trailers');
      headers.set('grpc-accept-encoding', 'identity');
      headers.remove('content-length');
      return undefined;
    },
    decodeBody: () => (stream && textRequest ? textDecoder(stream) : undefined),
    encodeHeaders({ headers }) {
      // What is not gRPC is an answer of the mesh itself, or of something else: browsers' clients read the status.
      isGrpc = headers.get('content-type')?.startsWith('application/grpc') === true;
      if (!stream || !isGrpc) return;
      headers.set('content-type', textResponse ? 'application/grpc-web-text+proto' : 'application/grpc-web+proto');
      headers.remove('content-length');
    },
    encodeBody: (_head, info) => (stream && isGrpc ? trailersFrame(info, textResponse) : undefined),
  };
}

/** Base64 in groups of four characters, of which chunks may hold parts. */
function textDecoder(stream: FilterStream): BodyFilter {
  let rest = '';
  return {
    data(chunk) {
      const text = rest + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1');
      if (/[^A-Za-z0-9+/=]/.test(text)) return void stream.endWith(notBase64('grpc_base_64_decode_failed'));
      const whole = text.length - (text.length % 4);
      rest = text.slice(whole);
      // Each message may have been encoded by itself, with padding in the middle.
      return Buffer.concat((text.slice(0, whole).match(/[^=]+=*/g) ?? []).map((part) => Buffer.from(part, 'base64')));
    },
    end() {
      if (rest !== '') stream.endWith(notBase64('grpc_base_64_decode_failed_bad_size'));
    },
  };
}

function notBase64(details: string): LocalReply {
  return { status: 400, grpcStatus: 13, body: 'Bad gRPC-web request, invalid base64 data.', details };
}

function trailersFrame(info: StreamInfo, text: boolean): BodyFilter {
  const encoded = (bytes: Uint8Array): Uint8Array => (text ? Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')) : bytes);
  // A group of three bytes is one of base64: what is left over waits, so that the stream needs no padding in the middle.
  let rest: Uint8Array = new Uint8Array();
  return {
    data(chunk) {
      if (!text) return chunk;
      const all = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const whole = all.length - (all.length % 3);
      rest = all.subarray(whole);
      return encoded(all.subarray(0, whole));
    },
    end(trailers) {
      const status = trailers.get('grpc-status');
      if (status !== undefined) info.grpcStatus = Number(status);
      const frame = frameOf(trailers);
      for (const [name] of [...trailers]) trailers.remove(name);
      return encoded(Buffer.concat([rest, frame]));
    },
  };
}

function frameOf(trailers: HeaderMap): Buffer {
  const text = [...trailers].map(([name, value]) => `${name}:${value}\r\n`).join('');
  const frame = Buffer.alloc(5 + Buffer.byteLength(text, 'latin1'));
  frame[0] = 0x80;
  frame.writeUInt32BE(frame.length - 5, 1);
  frame.write(text, 5, 'latin1');
  return frame;
}
