// grpc.health.v1.Health/Check. Its two messages have one field each: written and read by hand.
import type { grpc as Grpc } from './grpc-transport.js';
import * as grpc from '@grpc/grpc-js';
import { compileHeaderMutation } from '../route/header-mutation.js';
import type { HealthCheckConfig } from '../resource/cluster-config.js';
import { outboundInfo } from '../outbound/outbound-info.js';
import { HeaderMap } from '../stream/header-map.js';
import type { RequestHead } from '../stream/request-head.js';
import type { HealthProbe, ProbeResult } from '../upstream/health/health-probe.js';
import { grpcFailure } from './grpc-failure.js';

type GrpcCheck = Extract<HealthCheckConfig['check'], { kind: 'grpc' }>;

const path = '/grpc.health.v1.Health/Check';
const statusNames = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
const serving = 1;

/** @param channel may throw, where the host must not be talked to. */
export function grpcProbe(check: GrpcCheck, authority: string, channel: () => Grpc.Channel): HealthProbe {
  const mutation = compileHeaderMutation(check.headers, 'request');
  const request = requestMessage(check.serviceName);
  return {
    run(done) {
      let call: ReturnType<Grpc.Channel['createCall']> | undefined;
      let over = false;
      const end = (result: ProbeResult) => {
        if (over) return;
        over = true;
        done(result);
      };
      const start = () => {
        if (over) return;
        let answer: Buffer | undefined;
        const head: RequestHead = { protocol: 'grpc', method: 'POST', scheme: 'http', authority, path, headers: new HeaderMap() };
        mutation?.applyToRequest(head, outboundInfo(head));
        const metadata = new grpc.Metadata();
        for (const [name, value] of head.headers) metadata.add(name, name.endsWith('-bin') ? Buffer.from(value, 'base64') : value);
        call = channel().createCall(path, Infinity, head.authority, null, 0);
        const made = call;
        made.start(metadata, {
          onReceiveMetadata: () => made.startRead(),
          onReceiveMessage: (message: Buffer) => {
            answer = message;
            made.startRead();
          },
          onReceiveStatus: (status) => end(judge(status, answer)),
        });
        made.sendMessageWithContext({ callback: () => undefined }, request);
        made.halfClose();
      };
      queueMicrotask(() => {
        try {
          start();
        } catch (error) {
          end({ healthy: false, network: true, retriable: false, reason: (error as Error).message });
        }
      });
      return () => {
        over = true;
        call?.cancelWithStatus(grpc.status.CANCELLED, 'the health check took too long');
      };
    },
    close: () => undefined,
  };
}

function judge(status: Grpc.StatusObject, answer: Buffer | undefined): ProbeResult {
  if (status.code !== grpc.status.OK) {
    return { healthy: false, network: grpcFailure(status) !== undefined, retriable: false, reason: `gRPC status ${grpc.status[status.code] ?? status.code}: ${status.details}` };
  }
  const health = servingStatus(answer ?? Buffer.alloc(0));
  return health === serving ? { healthy: true, degraded: false } : { healthy: false, network: false, retriable: false, reason: statusNames[health] ?? `serving status ${health}` };
}

/** HealthCheckRequest { string service = 1 } */
function requestMessage(service: string): Buffer {
  const name = Buffer.from(service);
  if (name.length === 0) return name;
  const length: number[] = [];
  let rest = name.length;
  for (; rest > 127; rest >>>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([0x0a, ...length, rest]), name]);
}

/** HealthCheckResponse { ServingStatus status = 1 }. What it does not say is UNKNOWN, as in any message of proto3. */
function servingStatus(message: Buffer): number {
  return message.length >= 2 && message[0] === 0x08 ? (message[1] as number) : 0;
}
