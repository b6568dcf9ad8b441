// One runtime per process: what client and server share. Found through a registered symbol, so that two copies of a
// package in one process still meet.
import type { Clock, SvidSource, TlsContexts } from '@weft/spiffe';
import type { Bootstrap } from './bootstrap/bootstrap.js';
import type { InboundListeners } from './inbound/inbound-listeners.js';
import type { LoadRecorder } from './inbound/load-recorder.js';
import type { OutboundEngine } from './outbound/outbound-engine.js';
import type { Telemetry } from './telemetry/telemetry.js';
import type { Logger } from './telemetry/logger.js';
import type { Stats } from './telemetry/stats.js';
import type { XdsClient } from './xds/xds-client.js';

export interface Runtime {
  readonly bootstrap: Bootstrap;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Undefined where the bootstrap gives no source of identity: plain text only, and mTLS endpoints are refused. */
  readonly identity: SvidSource | undefined;
  readonly tls: TlsContexts | undefined;
  readonly xds: XdsClient;
  readonly outbound: OutboundEngine;
  readonly inbound: InboundListeners;
  readonly telemetry: Telemetry;
  /** How busy this process is: what a server tells its callers. */
  readonly load: LoadRecorder;
  /** Every metric of the process; `mesh.metrics()` prints them. */
  readonly stats: Stats;
  /** Resolves when there is an identity (where one is wanted) and a control plane (or a last good snapshot) answered; rejects with the reason. */
  ready(signal?: AbortSignal): Promise<void>;
  /** Drains and closes; the last of client and server to call it does. Idempotent. */
  close(): Promise<void>;
}
