// Traces: the W3C context is carried from inbound to outbound requests without code of the application, and spans are made
// where @opentelemetry/api is installed and has a provider.
import { createRequire } from 'node:module';
import type * as otel from '@opentelemetry/api';
import { currentContext } from '../context/request-context.js';
import type { HeaderMap } from '../stream/header-map.js';
import type { StreamInfo, WorkloadInfo } from '../stream/stream-info.js';

export interface TraceContext {
  traceparent: string;
  tracestate?: string;
}

/** A valid `traceparent` (W3C Trace Context §3.2; versions after 00 may be longer) with its `tracestate`. */
export function readTraceContext(headers: HeaderMap): TraceContext | undefined {
  const traceparent = headers.get('traceparent');
  if (traceparent === undefined || !isTraceparent(traceparent)) return undefined;
  const tracestate = headers.joined('tracestate');
  return { traceparent, ...(tracestate !== undefined && tracestate.length <= 512 && { tracestate }) };
}

export function isTraceparent(value: string): boolean {
  return value.length <= 128 && /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/.test(value) && (!value.startsWith('00') || value.length === 55);
}

export interface RequestSpan {
  readonly context: TraceContext;
  run<T>(fn: () => T): T;
  end(info: StreamInfo, durationMs: number): void;
}

type Api = typeof otel;

export class Tracing {
  readonly #api: Api | undefined;
  readonly #workload: () => WorkloadInfo;

  /** @param api the application's @opentelemetry/api; looked for where it is left out, `null` = no spans. */
  constructor(workload: () => WorkloadInfo, api: Api | null | undefined = undefined) {
    this.#api = api === undefined ? installedApi() : (api ?? undefined);
    this.#workload = workload;
  }

  /** The server span of an inbound request. Undefined without a provider, or where an instrumentation made one already. */
  inbound(info: StreamInfo, parent: TraceContext | undefined): RequestSpan | undefined {
    const tracer = this.#tracer();
    if (!tracer) return undefined;
    const api = this.#api as Api;
    if (api.trace.getActiveSpan()?.isRecording()) return undefined;
    const remote = parent && remoteContext(api, parent);
    const context = remote ? api.trace.setSpanContext(api.ROOT_CONTEXT, remote) : api.ROOT_CONTEXT;
    return this.#span(api, tracer, info, api.SpanKind.SERVER, context);
  }

  /** The client span of an outbound request; its parent is the active span, or the inbound request that is being handled. */
  outbound(info: StreamInfo): RequestSpan | undefined {
    const tracer = this.#tracer();
    if (!tracer) return undefined;
    const api = this.#api as Api;
    let context = api.context.active();
    const own = currentContext();
    if (!api.trace.getSpan(context) && own?.traceparent !== undefined) {
      const remote = remoteContext(api, { traceparent: own.traceparent, ...(own.tracestate !== undefined && { tracestate: own.tracestate }) });
      context = api.trace.setSpanContext(context, remote);
    }
    return this.#span(api, tracer, info, api.SpanKind.CLIENT, context);
  }

  // The global provider is a proxy that hands out no-op spans until the application sets a real one, which may be later than now.
  #tracer(): otel.Tracer | undefined {
    const provider = this.#api?.trace.getTracerProvider() as otel.TracerProvider & { getDelegateTracer?(name: string): otel.Tracer | undefined } | undefined;
    if (!provider) return undefined;
    return provider.getDelegateTracer ? provider.getDelegateTracer('weft') : provider.getTracer('weft');
  }

  #span(api: Api, tracer: otel.Tracer, info: StreamInfo, kind: otel.SpanKind, parent: otel.Context): RequestSpan | undefined {
    const span = tracer.startSpan(`${info.destination?.host ?? info.authority}/*`, { kind, attributes: this.#attributes(info) }, parent);
    const spanContext = span.spanContext();
    if (!api.isSpanContextValid(spanContext)) return undefined;
    const withSpan = api.trace.setSpan(parent, span);
    // The instrumentations of undici and grpc-js would make a second client span and a second traceparent, which breaks the trace.
    const inner = kind === api.SpanKind.CLIENT ? withSpan.setValue(suppressTracing(api), true) : withSpan;
    const tracestate = spanContext.traceState?.serialize();
    const flags = spanContext.traceFlags.toString(16).padStart(2, '0');
    return {
      context: { traceparent: `00-${spanContext.traceId}-${spanContext.spanId}-${flags}`, ...(tracestate && { tracestate }) },
      run: (fn) => api.context.with(inner, fn),
      end(info) {
        span.setAttributes({
          'http.status_code': info.status,
          'response_flags': info.flags.join(',') || '-',
          'request_size': info.direction === 'outbound' ? info.bytesSent : info.bytesReceived,
          'response_size': info.direction === 'outbound' ? info.bytesReceived : info.bytesSent,
          ...(info.clusterName && { upstream_cluster: info.clusterName }),
          ...(info.grpcStatus !== undefined && { 'grpc.status_code': String(info.grpcStatus) }),
          ...(info.attempts > 1 && { 'http.request.resend_count': info.attempts - 1 }),
        });
        const failed = info.status === 0 || info.status >= 500 || (info.grpcStatus !== undefined && info.grpcStatus !== 0);
        if (failed) span.setStatus({ code: api.SpanStatusCode.ERROR });
        span.end();
      },
    };
  }

  #attributes(info: StreamInfo): otel.Attributes {
    const own = this.#workload();
    return {
      'component': 'proxy',
      'http.method': info.method,
      'http.url': `http://${info.authority}${info.originalPath}`,
      'http.protocol': info.httpVersion,
      'peer.address': info.direction === 'inbound' ? info.downstreamRemoteAddress : info.upstreamAddress,
      'istio.canonical_service': own.canonicalService || 'unknown',
      'istio.canonical_revision': own.canonicalRevision || 'latest',
      'istio.mesh_id': 'unknown',
      'istio.namespace': own.namespace || 'default',
      'istio.cluster_id': own.cluster || 'unknown',
    };
  }
}

function remoteContext(api: Api, { traceparent, tracestate }: TraceContext): otel.SpanContext {
  const [, traceId, spanId, flags] = traceparent.split('-') as [string, string, string, string];
  return { traceId, spanId, traceFlags: parseInt(flags, 16), isRemote: true, ...(tracestate !== undefined && { traceState: api.createTraceState(tracestate) }) };
}

/** The key by which OpenTelemetry's SDK and instrumentations know that a part is not to be traced (@opentelemetry/core). */
function suppressTracing(api: Api): symbol {
  return api.createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING');
}

function installedApi(): Api | undefined {
  try {
    return createRequire(import.meta.url)('@opentelemetry/api') as Api;
  } catch {
    return undefined;
  }
}
