import * as api from '@opentelemetry/api';
import { AsyncLocalStorage } from 'node:async_hooks';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { IstioTelemetry } from './istio-telemetry.js';
import { Stats } from './stats.js';
import { testHead, testInfo, testWorkload } from './testing.js';
import { Tracing } from './tracing.js';

// A provider and a context manager as small as the API allows; the SDK's are peers of applications, not of this package.
interface Recorded {
  name: string;
  kind: api.SpanKind | undefined;
  context: api.SpanContext;
  parent: api.SpanContext | undefined;
  attributes: api.Attributes;
  error: boolean;
  ended: boolean;
}

const spans: Recorded[] = [];
const storage = new AsyncLocalStorage<api.Context>();
let next = 1;

const tracer = {
  startSpan(name: string, options: api.SpanOptions = {}, context: api.Context = api.context.active()) {
    const parent = api.trace.getSpanContext(context);
    const own = { traceId: parent?.traceId ?? (next++).toString(16).padStart(32, '0'), spanId: (next++).toString(16).padStart(16, '0'), traceFlags: 1 };
    const record: Recorded = { name, kind: options.kind, context: own, parent, attributes: { ...options.attributes }, error: false, ended: false };
    spans.push(record);
    const span = {
      spanContext: () => own,
      setAttributes: (attributes: api.Attributes) => (Object.assign(record.attributes, attributes), span),
      setStatus: ({ code }: api.SpanStatus) => ((record.error = code === api.SpanStatusCode.ERROR), span),
      end: () => (record.ended = true),
      isRecording: () => !record.ended,
    };
    return span as unknown as api.Span;
  },
};

beforeAll(() => {
  api.trace.setGlobalTracerProvider({ getTracer: () => tracer } as unknown as api.TracerProvider);
  api.context.setGlobalContextManager({
    active: () => storage.getStore() ?? api.ROOT_CONTEXT,
    with: (context, fn, self, ...args) => storage.run(context, () => fn.apply(self, args)),
    bind: (_context, target) => target,
    enable() { return this; },
    disable() { return this; },
  } as api.ContextManager);
});
afterAll(() => {
  api.trace.disable();
  api.context.disable();
});
beforeEach(() => void spans.splice(0));

function telemetry() {
  return new IstioTelemetry({ stats: new Stats(), workload: testWorkload('orders'), tracing: new Tracing(() => testWorkload('orders')) });
}

describe('spans', () => {
  it('join the trace of the caller and hand it on to outbound requests', () => {
    const t = telemetry();
    const inbound = testInfo();
    const stream = t.start(inbound, testHead({ headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' } }))!;
    const head = testHead();
    const outbound = testInfo({ direction: 'outbound', status: 503, attempts: 3, flags: ['URX'] });
    stream.run(() => t.end(outbound, t.start(outbound, head), head));
    t.end(inbound, stream, testHead());
    const [server, client] = spans as [Recorded, Recorded];
    expect(server).toMatchObject({ kind: api.SpanKind.SERVER, ended: true, error: false, parent: { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' } });
    expect(client).toMatchObject({ kind: api.SpanKind.CLIENT, ended: true, error: true, parent: { spanId: server.context.spanId }, attributes: { 'response_flags': 'URX', 'http.request.resend_count': 2, 'istio.canonical_service': 'orders' } });
    expect(head.headers.all('traceparent')).toEqual([`00-0af7651916cd43dd8448eb211c80319c-${client.context.spanId}-01`]);
  });

  it('run the inner dispatch where instrumentations make no second span', () => {
    const t = telemetry();
    const stream = t.start(testInfo({ direction: 'outbound' }), testHead())!;
    const key = api.createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING');
    expect(stream.run(() => api.context.active().getValue(key))).toBe(true);
  });

  it('are left to an instrumentation that already made the server span', () => {
    const t = telemetry();
    const active = tracer.startSpan('instrumentation');
    api.context.with(api.trace.setSpan(api.ROOT_CONTEXT, active), () => t.start(testInfo(), testHead()));
    expect(spans).toHaveLength(1);
  });

  it('are none without a provider', () => {
    api.trace.disable();
    const head = testHead();
    telemetry().start(testInfo({ direction: 'outbound' }), head);
    expect([spans, head.headers.has('traceparent')]).toEqual([[], false]);
  });
});
