import { Registry } from 'prom-client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { currentContext, runInContext } from '../context/request-context.js';
import { HeaderMap } from '../stream/header-map.js';
import type { AccessLogEntry } from './access-log.js';
import { istioLabels } from './istio-metrics.js';
import { IstioTelemetry } from './istio-telemetry.js';
import { peerMetadataHeader } from './peer-metadata.js';
import { metricsServerOf, startMetricsServer } from './metrics-server.js';
import { bridgeToRegistry, prometheusText } from './prometheus.js';
import { Histogram, Stats } from './stats.js';
import { testHead, testInfo, testWorkload } from './testing.js';

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const own = 'spiffe://cluster.local/ns/shop/sa/orders';

function telemetry(options: Partial<ConstructorParameters<typeof IstioTelemetry>[0]> = {}) {
  return new IstioTelemetry({ stats: new Stats(), workload: testWorkload('orders'), principal: () => own, ...options });
}

function labelsOf(stats: Stats): Record<string, string>[] {
  const family = [...stats.families()].find(({ name }) => name === 'istio_requests_total')!;
  return [...family].map(({ values }) => Object.fromEntries(istioLabels.map((label, index) => [label, values[index]!])));
}

describe('Istio metrics', () => {
  it('label an outbound request as the source sees it', () => {
    const t = telemetry();
    t.end(testInfo({ direction: 'outbound', mutualTls: true, upstreamSpiffeId: 'spiffe://cluster.local/ns/shop/sa/payments', peerWorkload: testWorkload('payments-1', { canonicalService: 'payments' }), destination: { host: 'payments.shop.svc.cluster.local', name: 'payments', namespace: 'shop' } }), undefined, testHead());
    expect(labelsOf(t.stats)).toEqual([{
      reporter: 'source', source_workload: 'orders', source_canonical_service: 'orders', source_canonical_revision: 'v1', source_workload_namespace: 'shop', source_principal: own, source_app: 'orders', source_version: 'v1', source_cluster: 'Kubernetes',
      destination_workload: 'payments-1', destination_workload_namespace: 'shop', destination_principal: 'spiffe://cluster.local/ns/shop/sa/payments', destination_app: 'payments', destination_version: 'v1',
      destination_service: 'payments.shop.svc.cluster.local', destination_canonical_service: 'payments', destination_canonical_revision: 'v1', destination_service_name: 'payments', destination_service_namespace: 'shop', destination_cluster: 'Kubernetes',
      request_protocol: 'http', response_code: '200', grpc_response_status: '', response_flags: '-', connection_security_policy: 'unknown',
    }]);
  });

  it('label an inbound request from an unknown plain text peer without leaving a label out', () => {
    const t = telemetry();
    t.end(testInfo({ status: 0, flags: ['DC'] }), undefined, testHead());
    const [labels] = labelsOf(t.stats);
    expect(Object.keys(labels!)).toEqual([...istioLabels]);
    expect(labels).toMatchObject({ reporter: 'destination', source_workload: 'unknown', source_principal: 'unknown', source_canonical_revision: 'unknown', destination_service: 'unknown', destination_workload: 'orders', response_code: '0', response_flags: 'DC', connection_security_policy: 'none' });
  });

  it('take the namespace of a peer from its certificate, not from its words', () => {
    const t = telemetry();
    const head = testHead();
    telemetry({ workload: testWorkload('frontend', { namespace: 'admin' }) }).start(testInfo({ direction: 'outbound' }), head);
    const info = testInfo({ mutualTls: true, peer: { spiffeId: 'spiffe://cluster.local/ns/web/sa/frontend', trustDomain: 'cluster.local', namespace: 'web' } });
    t.end(info, t.start(info, head), head);
    expect(labelsOf(t.stats)[0]).toMatchObject({ source_workload: 'frontend', source_workload_namespace: 'web', source_principal: 'spiffe://cluster.local/ns/web/sa/frontend', destination_principal: own, connection_security_policy: 'mutual_tls' });
    expect(head.headers.has(peerMetadataHeader)).toBe(false);
  });

  it('hold one series per edge and fold those beyond the cap into overflow', () => {
    const t = telemetry({ maxSeries: 2 });
    for (const status of [200, 200, 201, 202, 203]) t.end(testInfo({ status }), undefined, testHead());
    const text = prometheusText(t.stats);
    expect(text.match(/^istio_requests_total.*$/gm)!.map((line) => [/response_code="([^"]*)"/.exec(line)![1], /reporter="([^"]*)"/.exec(line)![1], line.split(' ').at(-1)])).toEqual([['200', 'destination', '2'], ['201', 'destination', '1'], ['overflow', 'destination', '2']]);
  });

  it('keep requests apart that differ only in how they ended', () => {
    const t = telemetry();
    for (const over of [{ status: 200 }, { status: 200, grpcStatus: 0 }, { status: 200, grpcStatus: 14 }, { status: 200, grpcStatus: 70_000 }, { status: 503, flags: ['UH'] as const }, { status: 503 }, { status: 503, flags: ['UH'] as const }]) {
      t.end(testInfo({ ...over, flags: [...(over.flags ?? [])] }), undefined, testHead());
    }
    const ends = labelsOf(t.stats).map((labels) => [labels['response_code'], labels['grpc_response_status'], labels['response_flags']].join());
    expect(ends).toEqual(['200,,-', '200,0,-', '200,14,-', '200,70000,-', '503,,UH', '503,,-']);
  });

  it('keep edges apart that share a peer', () => {
    const t = telemetry();
    const peerWorkload = testWorkload('orders');
    const [one, other] = ['a', 'b'].map((name) => ({ host: `${name}.shop`, name, namespace: 'shop' }));
    const peer = (serviceAccount: string) => ({ spiffeId: `spiffe://cluster.local/ns/shop/sa/${serviceAccount}`, trustDomain: 'cluster.local' });
    for (const over of [{ destination: one! }, { destination: other! }, { destination: one! }, { destination: one!, peer: peer('x'), mutualTls: true }, { destination: one!, peer: peer('y'), mutualTls: true }, { direction: 'outbound' as const }]) t.end(testInfo({ peerWorkload, ...over }), undefined, testHead());
    const edges = labelsOf(t.stats).map((labels) => [labels['reporter'], labels['destination_service_name'], labels['source_principal']].join());
    expect(edges).toEqual(['destination,a,unknown', 'destination,b,unknown', 'destination,a,spiffe://cluster.local/ns/shop/sa/x', 'destination,a,spiffe://cluster.local/ns/shop/sa/y', 'source,unknown,unknown']);
  });

  it('say what the control plane says this workload is, once it says it', () => {
    const t = telemetry();
    t.end(testInfo(), undefined, testHead());
    t.describe(testWorkload('orders', { canonicalRevision: 'v2' }));
    t.end(testInfo(), undefined, testHead());
    expect(labelsOf(t.stats).map((labels) => labels['destination_version'])).toEqual(['v1', 'v2']);
  });
});

describe('peer metadata', () => {
  it('is answered only to a peer that sent its own, and taken from a response', () => {
    const t = telemetry();
    const silent = testInfo();
    const headers = new HeaderMap();
    t.responseHead(silent, t.start(silent, testHead()), { headers });
    expect(headers.raw).toEqual([]);

    const head = testHead();
    const outbound = testInfo({ direction: 'outbound' });
    t.start(outbound, head);
    const info = testInfo();
    t.responseHead(info, t.start(info, head), { headers });
    t.responseHead(outbound, undefined, { headers });
    expect(outbound.peerWorkload).toMatchObject({ name: 'orders', canonicalRevision: 'v1' });
    expect(headers.raw).toEqual([]);
  });

  it('is one object for all requests of a workload, in the namespace of its certificate', () => {
    const t = telemetry();
    const header = testHead();
    t.start(testInfo({ direction: 'outbound' }), header);
    const workloadOf = (namespace?: string) => {
      const info = testInfo({ ...(namespace !== undefined && { peer: { spiffeId: `spiffe://cluster.local/ns/${namespace}/sa/a`, trustDomain: 'cluster.local', namespace } }) });
      t.start(info, { ...testHead(), headers: header.headers.clone() });
      return info.peerWorkload;
    };
    expect(workloadOf()).toMatchObject({ namespace: 'shop' });
    expect(workloadOf('bank')).toMatchObject({ name: workloadOf()!.name, namespace: 'bank' });
    expect(workloadOf('shop')).toBe(workloadOf());
    expect(workloadOf('bank')).toBe(workloadOf('bank'));
    expect(workloadOf('mint')).toMatchObject({ namespace: 'mint' });
  });

  it.each([['weft~10.0.0.1~a.shop~shop.svc.cluster.local', false], ['sidecar~10.0.0.1~a.shop~shop.svc.cluster.local', true]])('is answered to those who know it from nowhere else: %s', (id, answered) => {
    const t = telemetry();
    const head = testHead();
    telemetry().start(testInfo({ direction: 'outbound' }), head);
    head.headers.set('x-envoy-peer-metadata-id', id);
    const info = testInfo();
    const stream = t.start(info, head);
    const response = { status: 200, headers: new HeaderMap() };
    t.responseHead(info, stream, response);
    expect([response.headers.has(peerMetadataHeader), response.headers.has('x-envoy-peer-metadata-id')]).toEqual([answered, answered]);
  });

  it.each(['%%%', 'AAAA', 'x'.repeat(9000)])('that cannot be read is dropped: %.10s', (value) => {
    const t = telemetry();
    const head = testHead({ headers: { [peerMetadataHeader]: value } });
    const info = testInfo();
    t.start(info, head);
    expect([info.peerWorkload?.name || undefined, head.headers.raw]).toEqual([undefined, []]);
  });
});

describe('trace context', () => {
  it('goes from the inbound request to the outbound ones of its handler', async () => {
    const t = telemetry();
    const info = testInfo();
    const stream = t.start(info, testHead({ headers: { traceparent, tracestate: 'a=1' } }))!;
    const outbound = await runInContext({ ...stream.trace }, async () => {
      await Promise.resolve();
      const head = testHead();
      t.start(testInfo({ direction: 'outbound' }), head);
      return head.headers;
    });
    expect([outbound.get('traceparent'), outbound.get('tracestate')]).toEqual([traceparent, 'a=1']);
    expect(currentContext()).toBeUndefined();
  });

  it('that the application wrote stays', () => {
    const t = telemetry();
    const head = testHead({ headers: { traceparent } });
    t.start(testInfo({ direction: 'outbound' }), head);
    expect(head.headers.all('traceparent')).toEqual([traceparent]);
  });

  it.each(['junk', `00-${'0'.repeat(32)}-b7ad6b7169203331-01`, `${traceparent}-more`, `ff${traceparent.slice(2)}`])('that is not valid is not carried on: %s', (value) => {
    const t = telemetry();
    expect(t.start(testInfo(), testHead({ headers: { traceparent: value } }))!.trace).toBeUndefined();
  });
});

describe('access log', () => {
  it('has every key of Istio, null where there is nothing', () => {
    const entries: AccessLogEntry[] = [];
    const t = telemetry({ accessLog: (entry) => entries.push(entry) });
    t.end(testInfo({ originalPath: '/a?b', bytesReceived: 3, bytesSent: 7, responseCodeDetails: 'via_upstream' }), undefined, testHead({ headers: { 'user-agent': 'test' } }));
    expect(entries[0]).toMatchObject({ method: 'GET', path: '/a?b', response_code: 200, response_flags: null, bytes_received: 3, bytes_sent: 7, user_agent: 'test', upstream_host: null, upstream_transport_failure_reason: null, downstream_remote_address: '10.0.0.9:50000' });
    expect(Object.values(entries[0]!)).not.toContain(undefined);
  });
});

describe('exposition', () => {
  const closers: (() => Promise<void>)[] = [];
  afterEach(async () => void (await Promise.all(closers.splice(0).map((close) => close()))));

  it('is the same through prom-client, as text and on a port', async () => {
    const t = telemetry();
    t.end(testInfo({ authority: 'a"b\\c' }), undefined, testHead());
    t.stats.counter({ name: 'odd', help: 'Odd values', labels: ['value'] }).series('a"b\\c\nd').add();
    const registry = new Registry();
    bridgeToRegistry(t.stats, registry as never);
    bridgeToRegistry(t.stats, registry as never);
    const text = prometheusText(t.stats);
    const lines = (value: string) => value.split('\n').filter((line) => line && !line.startsWith('#')).sort();
    expect(lines(await registry.metrics())).toEqual(lines(text));
    expect(text).toContain('odd{value="a\\"b\\\\c\\nd"} 1');
    const server = await startMetricsServer(() => prometheusText(t.stats), { port: 0, host: '127.0.0.1' });
    closers.push(() => server.close());
    const response = await fetch(`http://127.0.0.1:${server.port}/metrics`);
    expect(await response.text()).toBe(text);
    expect((await fetch(`http://127.0.0.1:${server.port}/`)).status).toBe(404);
  });

  it('on a port that is taken costs only the metrics, and on one that is none is an error', async () => {
    const taken = await startMetricsServer(() => '', { port: 0 });
    closers.push(() => taken.close());
    const error = vi.fn();
    const logger = { debug: error, info: error, warn: error, error };
    const server = metricsServerOf(String(taken.port), new Stats(), logger);
    await vi.waitFor(() => expect(error).toHaveBeenCalledWith(expect.objectContaining({ reason: expect.stringContaining('EADDRINUSE') }), 'metrics cannot be served'));
    await server.close();
    await metricsServerOf(undefined, new Stats(), logger).close();
    expect(() => metricsServerOf('http', new Stats(), logger)).toThrow('WEFT_METRICS_PORT: "http" is not a port');
  });

  it('counts a value in the first bucket that is not below it', () => {
    const histogram = new Histogram([1, 5, 10]);
    for (const value of [0, 1, 1.5, 5, 10, 11]) histogram.observe(value);
    expect([...histogram.counts]).toEqual([2, 2, 1, 1]);
    expect([histogram.sum, histogram.count]).toEqual([28.5, 6]);
  });

  it('does not cost the caller its request when the log file cannot be written', async () => {
    const failed = vi.fn();
    const { accessLogSink } = await import('./access-log.js');
    accessLogSink('/nonexistent/folder/access.log', failed)!({} as AccessLogEntry);
    await vi.waitFor(() => expect(failed).toHaveBeenCalled());
  });
});
