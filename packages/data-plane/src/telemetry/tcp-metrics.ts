// Istio's metrics of connections (istio/proxy istio_stats.cc): opened and closed, and bytes while they last.
import { systemClock, type Clock, type Timer } from '@weft/spiffe';
import type { StreamInfo } from '../stream/stream-info.js';
import type { Counter, Family, Stats } from './stats.js';

/** Istio's tcp_reporting_duration. */
const reportMs = 15_000;

export interface TcpMetricsOptions {
  labels: readonly string[];
  labelsOf(info: StreamInfo): string[];
  clock?: Clock | undefined;
  maxSeries?: number | undefined;
}

interface Open {
  readonly info: StreamInfo;
  readonly read: () => void;
  sent: number;
  received: number;
}

export class TcpMetrics {
  readonly #options: TcpMetricsOptions;
  readonly #opened: Family<Counter>;
  readonly #closed: Family<Counter>;
  readonly #sent: Family<Counter>;
  readonly #received: Family<Counter>;
  readonly #open = new Set<Open>();
  #timer: Timer | undefined;

  constructor(stats: Stats, options: TcpMetricsOptions) {
    this.#options = options;
    const common = { labels: options.labels, overflowKeeps: ['reporter'], ...(options.maxSeries !== undefined && { maxSeries: options.maxSeries }) };
    this.#opened = stats.counter({ name: 'istio_tcp_connections_opened_total', help: 'Connections opened', ...common });
    this.#closed = stats.counter({ name: 'istio_tcp_connections_closed_total', help: 'Connections closed', ...common });
    this.#sent = stats.counter({ name: 'istio_tcp_sent_bytes_total', help: 'Bytes sent to the side that asked', ...common });
    this.#received = stats.counter({ name: 'istio_tcp_received_bytes_total', help: 'Bytes received from the side that asked', ...common });
  }

  /** @returns the connection is over. */
  open(info: StreamInfo, read: () => void): () => void {
    const open: Open = { info, read, sent: 0, received: 0 };
    this.#opened.series(...this.#options.labelsOf(info)).add();
    this.#open.add(open);
    this.#schedule();
    return () => {
      if (!this.#open.delete(open)) return;
      this.#report(open);
      this.#closed.series(...this.#options.labelsOf(info)).add();
      if (this.#open.size === 0) this.#timer?.cancel();
      if (this.#open.size === 0) this.#timer = undefined;
    };
  }

  #report(open: Open): void {
    open.read();
    const { info } = open;
    // A proxy's point of view, on both sides: received from the client, sent to it.
    const outbound = info.direction === 'outbound';
    const [sent, received] = outbound ? [info.bytesReceived, info.bytesSent] : [info.bytesSent, info.bytesReceived];
    const labels = this.#options.labelsOf(info);
    this.#sent.series(...labels).add(sent - open.sent);
    this.#received.series(...labels).add(received - open.received);
    open.sent = sent;
    open.received = received;
  }

  #schedule(): void {
    this.#timer ??= (this.#options.clock ?? systemClock).setTimeout(() => {
      this.#timer = undefined;
      for (const open of this.#open) this.#report(open);
      if (this.#open.size > 0) this.#schedule();
    }, reportMs);
  }
}
