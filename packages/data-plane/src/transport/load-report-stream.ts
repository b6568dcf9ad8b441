// Out-of-band load reports: a stream of xds.service.orca.v3.OpenRcaService from one host, kept up for as long as somebody wants it.
import type { Clock, Timer } from '@weft/spiffe';
import type { Host } from '../upstream/host.js';
import { grpc, type GrpcTransport } from './grpc-transport.js';

const method = '/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics';
const firstBackoffMs = 1000;
const longestBackoffMs = 120_000;

export interface LoadReportStreamOptions {
  readonly transport: Pick<GrpcTransport, 'channel'>;
  readonly clock: Clock;
  /** The encoded report. */
  onReport(message: Uint8Array): void;
}

/** Follows the host's reports, about one in `periodMs`. A host that does not have the service is not asked again. */
export function followLoadReports(host: Host, periodMs: number, { transport, clock, onReport }: LoadReportStreamOptions): { close(): void } {
  let timer: Timer | undefined;
  let call: ReturnType<grpc.Channel['createCall']> | undefined;
  let closed = false;
  let backoffMs = firstBackoffMs;

  const retry = () => {
    timer = clock.setTimeout(open, backoffMs);
    backoffMs = Math.min(2 * backoffMs, longestBackoffMs);
  };
  const open = () => {
    try {
      const started = transport.channel(host, host.cluster).createCall(method, Infinity, host.config.hostname || host.key, null, 0);
      call = started;
      started.start(new grpc.Metadata(), {
        onReceiveMetadata: () => started.startRead(),
        onReceiveMessage(message: Buffer) {
          backoffMs = firstBackoffMs;
          if (!closed) onReport(message);
          started.startRead();
        },
        onReceiveStatus({ code }: { code: number }) {
          call = undefined;
          if (!closed && code !== grpc.status.UNIMPLEMENTED) retry();
        },
      });
      started.sendMessageWithContext({}, intervalRequest(periodMs));
      started.halfClose();
    } catch {
      // No identity yet, or the host's is missing: what calls of the application are told, too.
      if (!closed) retry();
    }
  };
  open();
  return {
    close() {
      closed = true;
      timer?.cancel();
      call?.cancelWithStatus(grpc.status.CANCELLED, 'nobody wants load reports any more');
    },
  };
}

/** OrcaLoadReportRequest { report_interval }. */
function intervalRequest(ms: number): Buffer {
  const duration = [...field(1, Math.floor(ms / 1000)), ...field(2, Math.round((ms % 1000) * 1e6))];
  return Buffer.from([0x0a, duration.length, ...duration]);
}

function field(number: number, value: number): number[] {
  if (value === 0) return [];
  const bytes = [number * 8];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}
