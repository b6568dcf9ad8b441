// The order of an outbound connection whose bytes are carried as they are (Envoy's tcp_proxy).
import type { Socket } from 'node:net';
import type { Clock } from '@weft/spiffe';
import { MeshError, type MeshErrorCode } from '../errors.js';
import type { TcpClusterConfig, TcpProxyConfig } from '../resource/tcp-proxy.js';
import { xxh64 } from '../route/xxh64.js';
import { selectTcpProxy, type OutboundTcpSnapshot } from '../snapshot/outbound-tcp.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { StreamInfo } from '../stream/stream-info.js';
import type { Telemetry } from '../telemetry/telemetry.js';
import type { UpstreamConnectError } from '../transport/connector.js';
import type { TcpTransport } from '../transport/tcp-transport.js';
import { watchSocket } from '../transport/watch-socket.js';
import { Host } from '../upstream/host.js';
import { describeAttempt } from './outbound-info.js';

export interface TcpServices {
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  random(): number;
  /** The address of this process, for hash policies: the caller of all its connections. */
  readonly sourceAddress: string;
}

export interface TcpConnectOptions {
  readonly transport: TcpTransport;
  /** What the application's own TLS will ask for (SNI). */
  readonly serverName?: string | undefined;
  readonly allowHalfOpen?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Rejects with a MeshError, or with the reason of the signal. */
export async function connectTcp(services: TcpServices, snapshot: OutboundTcpSnapshot, options: TcpConnectOptions): Promise<Socket> {
  const { clock, telemetry } = services;
  const { serverName = '', signal, transport, allowHalfOpen = false } = options;
  const info = tcpInfo(snapshot.name, serverName);
  const refuse = (code: MeshErrorCode, text: string, flags: StreamInfo['flags'], cause?: unknown): MeshError => {
    info.flags.push(...flags);
    telemetry.connection?.(info, () => undefined)();
    return new MeshError(code, text, { cause });
  };
  // 1. The chain of the server name, then the cluster, once: all attempts stay on it.
  const proxy = selectTcpProxy(snapshot, serverName);
  if (!proxy) throw refuse('WEFT_UNKNOWN_HOST', `${snapshot.name} with the server name ${serverName || '(none)'}`, ['NR']);
  const { name, metadataMatch } = chooseCluster(proxy, services);
  info.clusterName = name;
  const cluster = snapshot.clusters.get(name);
  if (!cluster) throw refuse('WEFT_NO_CONFIG', `no cluster ${name}`, ['NC'], snapshot.missing.get(name));
  if (cluster.config.service) info.destination = cluster.config.service;
  const hash = proxy.hashesSource ? xxh64(services.sourceAddress) : undefined;
  for (;;) {
    // 2. Each attempt passes drops, circuit breaker (max_connections) and picker anew.
    const host = cluster.choose({ attempt: info.attempts, priority: 'default', connection: true, ...(hash !== undefined && { hash }), ...(metadataMatch && { metadataMatch }) });
    if (!(host instanceof Host)) throw refuse(codeOf(host), host.body as string, host.flag ? [host.flag] : []);
    describeAttempt(info, host, host.cluster);
    host.cluster.beginConnection(host, 'default');
    const connected = await attempt(transport, host, allowHalfOpen, signal).catch((error: Error) => error);
    if (!(connected instanceof Error)) return established(connected, { info, host, proxy, clock, telemetry });
    // 3. A failure counts against the host, but not where the caller itself gave up.
    host.cluster.endConnection(host, 'default');
    if (signal?.aborted) throw refuseAborted(info, telemetry, signal);
    const { kind, message, cause } = connected as UpstreamConnectError;
    host.cluster.report(host, { failure: kind, durationMs: 0 });
    if (info.attempts < proxy.maxConnectAttempts) continue;
    if (kind === 'identity' && cause instanceof MeshError) {
      refuse(cause.code, message, ['UF', 'URX']);
      throw cause;
    }
    throw refuse(kind === 'identity' ? 'WEFT_PEER_IDENTITY' : 'WEFT_CONNECT_FAILED', `${snapshot.name} at ${host.key}: ${message}`, ['UF', 'URX'], cause ?? connected);
  }
}

interface Established {
  info: StreamInfo;
  host: Host;
  proxy: TcpProxyConfig;
  clock: Clock;
  telemetry: Telemetry;
}

/** 4. The connection is the caller's. Counted when it is there, and when it is gone. */
function established(socket: Socket, { info, host, proxy, clock, telemetry }: Established): Socket {
  host.cluster.report(host, { status: 200, durationMs: 0 });
  const over = telemetry.connection?.(info, () => {
    info.bytesSent = socket.bytesWritten;
    info.bytesReceived = socket.bytesRead;
  });
  watchSocket(socket, proxy, clock, (limit) => info.flags.push(limit === 'idle' ? 'SI' : 'DT'));
  socket.once('error', () => info.flags.push('UC'));
  socket.once('close', () => {
    host.cluster.endConnection(host, 'default');
    over?.();
  });
  return socket;
}

function attempt(transport: TcpTransport, host: Host, allowHalfOpen: boolean, signal: AbortSignal | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    let stop = () => undefined as void;
    const onAbort = () => {
      stop();
      reject(signal!.reason as Error);
    };
    stop = transport.connect(host, allowHalfOpen, (error, socket) => {
      signal?.removeEventListener('abort', onAbort);
      if (socket) resolve(socket);
      else reject(error as Error);
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

function refuseAborted(info: StreamInfo, telemetry: Telemetry, signal: AbortSignal): Error {
  info.flags.push('DC');
  telemetry.connection?.(info, () => undefined)();
  return signal.reason as Error;
}

function chooseCluster({ clusters, totalWeight }: TcpProxyConfig, { random }: TcpServices): TcpClusterConfig {
  let left = Math.floor(random() * totalWeight);
  for (const cluster of clusters) if ((left -= cluster.weight) < 0) return cluster;
  return clusters.at(-1)!;
}

function codeOf({ flag }: LocalReply): MeshErrorCode {
  return flag === 'UO' ? 'WEFT_OVERFLOW' : 'WEFT_NO_HEALTHY_UPSTREAM';
}

function tcpInfo(authority: string, requestedServerName: string): StreamInfo {
  return {
    direction: 'outbound', startTime: performance.now(), protocol: 'tcp', method: '', originalPath: '', authority,
    httpVersion: '', routeName: '', clusterName: '', attempts: 0, flags: [], responseCodeDetails: '', status: 0,
    bytesSent: 0, bytesReceived: 0, upstreamAddress: '', downstreamRemoteAddress: '', downstreamLocalAddress: '', mutualTls: false, requestedServerName,
  };
}
