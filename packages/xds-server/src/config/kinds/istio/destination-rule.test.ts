import { describe, expect, it } from 'vitest';
import { kindText, normalizeText, only } from '../../testing.js';

const text = (spec: string) => kindText('networking.istio.io/v1', 'DestinationRule', spec);
const policy = (traffic: string) => only('traffic-policy', text(`{host: a, trafficPolicy: {${traffic}}}`)).policy;
const problems = (traffic: string) => normalizeText(text(`{host: a, trafficPolicy: {${traffic}}}`)).problems.map((line) => line.replace(/^(warning: )?\S+ DestinationRule default\/x: spec.trafficPolicy/, '$1'));

it('reads host, subsets, workloadSelector and port settings as blocks of their own', () => {
  const rule = only('traffic-policy', text(`{host: payments, exportTo: [.], workloadSelector: {matchLabels: {app: w}},
    trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}, portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]},
    subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {tls: {mode: DISABLE}}}]}`));
  expect(rule).toMatchObject({
    host: 'payments.default.svc.cluster.local',
    exportTo: ['default'],
    workloadSelector: { app: 'w' },
    policy: { connectionPool: { maxConnections: 1 }, ports: [{ port: 80, policy: { loadBalancer: { simple: 'random' } } }] },
    subsets: [{ name: 'v1', labels: { version: 'v1' }, policy: { tls: { mode: 'disable' }, ports: [] } }],
  });
});

describe('load balancing', () => {
  it.each([['UNSPECIFIED', 'default'], ['LEAST_REQUEST', 'least-request'], ['LEAST_CONN', 'least-request'], ['ROUND_ROBIN', 'round-robin'], ['RANDOM', 'random'], ['PEAK_EWMA', 'peak-ewma']])('%s', (given, expected) => {
    expect(policy(`loadBalancer: {simple: ${given}}`).loadBalancer).toEqual({ simple: expected });
  });

  it('by hash: ring of 1024 unless told, or maglev', () => {
    const hash = (given: string) => policy(`loadBalancer: {consistentHash: {${given}}}`).loadBalancer?.consistentHash;
    expect(hash('httpHeaderName: X-User')).toEqual({ header: 'x-user', ring: { minimumSize: 1024 } });
    expect(hash('httpCookie: {name: c, ttl: 0s}, maglev: {}')).toEqual({ cookie: { name: 'c', path: '', ttlMs: 0, attributes: [] }, maglev: { tableSize: 65537 } });
    expect(hash('useSourceIp: true, ringHash: {minimumRingSize: 10}')).toEqual({ sourceIp: true, ring: { minimumSize: 10 } });
  });

  it('warns of what does nothing', () => {
    expect(problems('loadBalancer: {simple: PASSTHROUGH}')).toEqual(['warning: .loadBalancer.simple: PASSTHROUGH: a process has no original destination, so its clients use LEAST_REQUEST']);
    expect(problems('loadBalancer: {simple: RANDOM, warmup: {duration: 1s}}')).toEqual(['warning: .loadBalancer.warmup: has an effect with ROUND_ROBIN and LEAST_REQUEST only']);
    expect(problems('loadBalancer: {consistentHash: {useSourceIp: true}, warmupDurationSecs: 1s}')[0]).toContain('.warmupDurationSecs: has an effect');
  });

  it('by zone', () => {
    expect(policy('loadBalancer: {zoneAwareLbSetting: {minClusterSize: 2, failover: [{from: a, to: b}]}}').loadBalancer?.zoneAware).toEqual({ enabled: true, minClusterSize: 2, failover: [{ from: 'a', to: 'b' }], failoverPriority: [] });
    expect(problems('loadBalancer: {zoneAwareLbSetting: {}, localityLbSetting: {}}')[0]).toContain('localityLbSetting: has no effect beside zoneAwareLbSetting');
  });

  it('with cookie attributes, tuned warm-up and peak EWMA', () => {
    const cookie = (given: string) => policy(`loadBalancer: {consistentHash: {httpCookie: {name: c, ${given}}}}`).loadBalancer?.consistentHash?.cookie;
    expect(cookie('ttl: 1s, attributes: [{name: SameSite, value: Lax}, {name: Secure}]')).toMatchObject({ attributes: [{ name: 'SameSite', value: 'Lax' }, { name: 'Secure', value: '' }] });
    expect(problems('loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 1s, attributes: [{name: a, value: "b; Domain=x"}]}}}')[0]).toContain('attributes[0].value: has a character that would end the attribute');
    expect(problems('loadBalancer: {consistentHash: {httpCookie: {name: c, attributes: [{name: a}]}}}')[0]).toContain('has no effect without ttl');
    expect(policy('loadBalancer: {warmup: {duration: 10s, minimumPercent: 0, aggression: 1.5}}').loadBalancer?.warmup).toEqual({ durationMs: 10_000, minimumPercent: 0, aggression: 1.5 });
    expect(policy('loadBalancer: {simple: PEAK_EWMA, peakEwma: {decayTime: 5s, defaultRtt: 10ms, failurePenalty: 1s}}').loadBalancer?.peakEwma).toEqual({ decayMs: 5000, defaultRttMs: 10, failurePenaltyMs: 1000 });
    expect(problems('loadBalancer: {peakEwma: {}}')[0]).toContain('has no effect without simple PEAK_EWMA');
  });

  it('by locality, with warm-up', () => {
    expect(policy('loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 10s}, localityLbSetting: {failover: [{from: a, to: b}], failoverPriority: [x]}}').loadBalancer).toEqual({
      simple: 'round-robin', warmup: { durationMs: 10_000 }, locality: { enabled: true, distribute: [], failover: [{ from: 'a', to: 'b' }], failoverPriority: ['x'] },
    });
  });
});

it('reads breakers, Weft\u2019s own', () => {
  expect(policy('breakers: {adaptive: {latencyThreshold: 250ms, maxConcurrency: 10}, errorRate: {errorThresholdPercent: 30, volumeThreshold: 5, rollingWindow: 5s, resetTimeout: 1s}}').breakers).toEqual({
    adaptive: { latencyThresholdMs: 250, maxConcurrency: 10 }, errorRate: { errorThresholdPercent: 30, volumeThreshold: 5, rollingWindowMs: 5000, resetTimeoutMs: 1000 },
  });
  expect(problems('breakers: {adaptive: {minConcurrency: 5, maxConcurrency: 4}, errorRate: {resetTimeout: 0s}}')).toEqual([
    expect.stringContaining('breakers.adaptive.latencyThreshold: is required') as string,
    expect.stringContaining('breakers.adaptive.maxConcurrency: must not be below minConcurrency (5)') as string,
    expect.stringContaining('breakers.errorRate.resetTimeout: must be at least 1ms') as string,
  ]);
});

it('reads the connection pool and outlier detection, leaving unset fields out', () => {
  expect(policy('connectionPool: {tcp: {connectTimeout: 1s}, http: {http2MaxRequests: 7, maxRetries: 0, h2UpgradePolicy: UPGRADE}}').connectionPool).toEqual({ connectTimeoutMs: 1000, http2MaxRequests: 7, maxRetries: 0, h2Upgrade: 'upgrade' });
  expect(policy('outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 3, interval: 1s, maxEjectionPercent: 50}').outlierDetection).toEqual({ consecutive5xx: 0, consecutiveGatewayErrors: 3, intervalMs: 1000, maxEjectionPercent: 50 });
  expect(policy('outlierDetection: {}').outlierDetection).toEqual({});
});

describe('is refused for', () => {
  it.each([
    ['tls: {mode: SIMPLE, credentialName: c}', '.tls.credentialName: is not implemented, and cannot safely be left out'],
    ['tls: {mode: SIMPLE, caCrl: c}', '.tls.caCrl: is not implemented, and cannot safely be left out'],
    ['tls: {mode: MUTUAL, clientCertificate: c}', '.tls.privateKey: is required with MUTUAL'],
    ['tls: {mode: ISTIO_MUTUAL, privateKey: c}', '.tls.privateKey: cannot be set with ISTIO_MUTUAL: the mesh gives the certificates'],
    ['tls: {mode: STRICT}', '.tls.mode: must be one of DISABLE, SIMPLE, MUTUAL, ISTIO_MUTUAL, not "STRICT"'],
    ['loadBalancer: {simple: BEST}', '.loadBalancer.simple: must be one of UNSPECIFIED, LEAST_REQUEST, LEAST_CONN, ROUND_ROBIN, RANDOM, PASSTHROUGH, PEAK_EWMA, not "BEST"'],
    ['loadBalancer: {consistentHash: {}}', '.loadBalancer.consistentHash: needs one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName'],
    ['loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 100}}}', '.loadBalancer.consistentHash.maglev.tableSize: must be a prime number, 100 is not'],
    ['loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 60}}]}}', '.loadBalancer.localityLbSetting.distribute[0].to: the shares must sum to 100, not 60'],
    ['portLevelSettings: [{port: {number: 80}}, {port: {number: 80}}]', '.portLevelSettings[1].port.number: 80 has settings already'],
    ['connectionPool: {tcp: {maxConnections: -1}}', '.connectionPool.tcp.maxConnections: must be between 0 and 2147483647, not -1'],
  ])('%s', (traffic, expected) => expect(problems(traffic)).toEqual([expected]));

  it('a subset that comes twice', () => {
    expect(normalizeText(text('{host: a, subsets: [{name: v}, {name: v}]}')).problems[0]).toContain('spec.subsets[1].name: the subset v exists already');
  });
});

it('reads keep-alive, the protocol of connections, the retry budget and the PROXY header', () => {
  const pool = 'connectionPool: {tcp: {tcpKeepalive: {probes: 3, time: 60s, interval: 5s}}, http: {useClientProtocol: true, http2KeepAlive: {interval: 10s}}}';
  expect(policy(`${pool}, retryBudget: {percent: 12.5, minRetryConcurrency: 7}, proxyProtocol: {version: V2}`)).toEqual({
    connectionPool: { tcpKeepalive: { probes: 3, timeMs: 60_000, intervalMs: 5000 }, useClientProtocol: true, http2KeepAlive: { intervalMs: 10_000, timeoutMs: 10_000 } },
    retryBudget: { percent: 12.5, minConcurrency: 7 }, proxyProtocol: 'v2', ports: [],
  });
  expect(policy('proxyProtocol: {}, retryBudget: {}')).toEqual({ retryBudget: {}, proxyProtocol: 'v1', ports: [] });
  expect(problems('connectionPool: {http: {http2KeepAlive: {timeout: 1s}}}')).toEqual(['.connectionPool.http.http2KeepAlive.interval: is required']);
});

it('warns for what is not implemented', () => {
  expect(problems('outlierDetection: {outlierDetectionHttpErrorCodes: [503]}, tunnel: {}, retryBudget: {budgetInterval: 1s}').map((line) => line.replace(/: is not.*/, ''))).toEqual([
    'warning: .outlierDetection.outlierDetectionHttpErrorCodes', 'warning: .retryBudget.budgetInterval', 'warning: .tunnel',
  ]);
});
