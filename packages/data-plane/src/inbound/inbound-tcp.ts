// One connection at a server whose bytes are the application's: judged when it opens, counted until it closes.
import type { Socket } from 'node:net';
import type { Clock } from '@weft/spiffe';
import { judgeConnection } from '../filter/network/rbac.js';
import type { StreamInfo } from '../stream/stream-info.js';
import type { Telemetry } from '../telemetry/telemetry.js';
import { watchSocket } from '../transport/watch-socket.js';
import type { ConnectionInfo } from './inbound-port.js';
import type { TcpChainRuntime } from './inbound-snapshot.js';
import { addressText } from './peer-identity.js';

export interface InboundTcpOptions {
  chain: TcpChainRuntime;
  connection: ConnectionInfo;
  socket: Socket;
  telemetry: Telemetry;
  clock: Clock;
}

export class InboundTcp {
  readonly info: StreamInfo;
  /** Why it may not be. */
  readonly refusal: string | undefined;

  constructor({ chain, connection, socket, telemetry, clock }: InboundTcpOptions) {
    this.info = tcpInfo(connection, chain);
    const { rbac, proxy } = chain.config.tcp;
    // Before the first byte in either direction.
    this.refusal = judgeConnection(rbac, this.info);
    // Envoy's mark of what policy closed.
    if (this.refusal !== undefined) this.info.responseCodeDetails = this.refusal;
    const over = telemetry.connection?.(this.info, () => {
      this.info.bytesReceived = socket.bytesRead;
      this.info.bytesSent = socket.bytesWritten;
    });
    if (this.refusal !== undefined) {
      over?.();
      return;
    }
    watchSocket(socket, proxy, clock, (limit) => this.info.flags.push(limit === 'idle' ? 'SI' : 'DT'));
    socket.once('close', () => over?.());
  }

  /** By a newer configuration. */
  isRefusedBy({ config: { tcp } }: TcpChainRuntime): boolean {
    return judgeConnection(tcp.rbac, this.info) !== undefined;
  }
}

function tcpInfo(connection: ConnectionInfo, { destination }: TcpChainRuntime): StreamInfo {
  return {
    direction: 'inbound', startTime: performance.now(), protocol: 'tcp', method: '', originalPath: '', authority: '', httpVersion: '', routeName: '', clusterName: '', attempts: 0,
    flags: [], responseCodeDetails: '', status: 0, bytesSent: 0, bytesReceived: 0, upstreamAddress: '',
    ...(destination && { destination }),
    ...(connection.peer && { peer: connection.peer }),
    downstreamRemoteAddress: connection.remote ?? addressText(connection.remoteAddress, connection.remotePort),
    downstreamLocalAddress: connection.local ?? addressText(connection.localAddress, connection.localPort),
    mutualTls: connection.mutualTls,
    requestedServerName: connection.requestedServerName,
  };
}
