// xds.service.orca.v3.OpenRcaService: load reports as a stream, for balancers that do not want to wait for responses (gRFC A51).
import type { Server, ServerWritableStream } from '@grpc/grpc-js';
import { decodeReportInterval, encodeLoadReport, type Clock, type LoadRecorder } from '@weft/data-plane/internal';

/** No caller is told more often. */
const shortestIntervalMs = 1000;
/** For callers that do not say. */
const usualIntervalMs = 10_000;

export function addLoadReportService(server: Server, load: LoadRecorder, clock: Clock): void {
  const bytes = (value: Uint8Array) => Buffer.from(value);
  server.addService(
    {
      StreamCoreMetrics: {
        path: '/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics',
        requestStream: false,
        responseStream: true,
        requestSerialize: () => Buffer.alloc(0),
        // Here, where what cannot be read becomes an answer of grpc-js.
        requestDeserialize: (message: Buffer) => decodeReportInterval(message),
        responseSerialize: bytes,
        responseDeserialize: (message: Buffer) => message,
      },
    },
    { StreamCoreMetrics: (call: ServerWritableStream<number, Uint8Array>) => follow(call, load, clock) },
  );
}

function follow(call: ServerWritableStream<number, Uint8Array>, load: LoadRecorder, clock: Clock): void {
  const intervalMs = Math.max(shortestIntervalMs, call.request || usualIntervalMs);
  let timer: { cancel(): void } | undefined;
  const report = () => {
    // Nobody reads: the next one says more than all that were missed.
    if (!call.writableNeedDrain) call.write(encodeLoadReport(load.metrics));
    timer = clock.setTimeout(report, intervalMs);
  };
  call.on('cancelled', () => timer?.cancel());
  call.on('close', () => timer?.cancel());
  report();
}
