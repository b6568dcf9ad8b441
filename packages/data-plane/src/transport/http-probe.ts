import type { Dispatcher } from 'undici';
import { compileHeaderMutation } from '../route/header-mutation.js';
import { compileStringMatcher } from '../route/string-matcher.js';
import type { HealthCheckConfig, StatusRange } from '../resource/cluster-config.js';
import { outboundInfo } from '../outbound/outbound-info.js';
import { HeaderMap } from '../stream/header-map.js';
import type { RequestHead } from '../stream/request-head.js';
import type { HealthProbe, ProbeResult } from '../upstream/health/health-probe.js';
import { inOrder } from './payloads.js';

type HttpCheck = Extract<HealthCheckConfig['check'], { kind: 'http' }>;

/** @param pool may throw, where the host must not be talked to. */
export function httpProbe(check: HttpCheck, authority: string, pool: () => Dispatcher): HealthProbe {
  const mutation = compileHeaderMutation(check.headers, 'request');
  const serviceName = check.serviceName && compileStringMatcher(check.serviceName);
  const judge = (status: number, headers: Readonly<Record<string, string | string[] | undefined>>, body: Buffer): ProbeResult => {
    const refused = (reason: string, retriable = false): ProbeResult => ({ healthy: false, network: false, retriable, reason });
    if (!within(status, check.expected)) return refused(`status ${status}`, within(status, check.retriable));
    const name = String(headers['x-envoy-upstream-healthchecked-cluster'] ?? '');
    if (serviceName && !serviceName(name)) return refused(`it is of the service ${JSON.stringify(name)}`);
    if (check.receive.length > 0 && !inOrder(body, check.receive)) return refused('the answer is not the expected one');
    return { healthy: true, degraded: headers['x-envoy-degraded'] !== undefined };
  };
  return {
    run(done) {
      const head: RequestHead = { protocol: 'http', method: check.method, scheme: 'http', authority, path: check.path, headers: HeaderMap.from({ 'user-agent': 'Envoy/HC' }) };
      mutation?.applyToRequest(head, outboundInfo(head));
      const prober = new ProbeHandler(check.receive.length > 0 ? check.bufferSize : 0, judge, done);
      // undici would close a connection behind each HEAD.
      const options = { path: head.path, method: head.method, headers: ['host', head.authority, ...head.headers.raw], body: null, headersTimeout: 0, bodyTimeout: 0, reset: false } as Dispatcher.DispatchOptions;
      // Not before `run` returns, whatever the pool does.
      queueMicrotask(() => prober.start(() => void pool().dispatch(options, prober)));
      return () => prober.stop();
    },
    close: () => undefined,
  };
}

type Judge = (status: number, headers: Readonly<Record<string, string | string[] | undefined>>, body: Buffer) => ProbeResult;

class ProbeHandler implements Dispatcher.DispatchHandler {
  readonly #wanted: number;
  readonly #judge: Judge;
  #done: ((result: ProbeResult) => void) | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #headers: Readonly<Record<string, string | string[] | undefined>> = {};
  #body = Buffer.alloc(0);

  constructor(wanted: number, judge: Judge, done: (result: ProbeResult) => void) {
    this.#wanted = wanted;
    this.#judge = judge;
    this.#done = done;
  }

  start(dispatch: () => void): void {
    if (!this.#done) return;
    try {
      dispatch();
    } catch (error) {
      this.onResponseError(null, error as Error);
    }
  }

  stop(): void {
    this.#done = undefined;
    this.#controller?.abort(new Error('the health check took too long'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (!this.#done) controller.abort(new Error('the health check took too long'));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void {
    if (status < 200) return;
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#body.length < this.#wanted) this.#body = Buffer.concat([this.#body, chunk]).subarray(0, this.#wanted);
  }

  onResponseEnd(): void {
    this.#end(this.#judge(this.#status, this.#headers, this.#body));
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#end({ healthy: false, network: true, retriable: false, reason: error.message });
  }

  #end(result: ProbeResult): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(result);
  }
}

function within(status: number, ranges: readonly StatusRange[]): boolean {
  return ranges.some(({ start, end }) => status >= start && status < end);
}
