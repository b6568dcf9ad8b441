import { create, toBinary, toJsonString } from '@weft/xds-api/protobuf';
import { ClientSideWeightedRoundRobinSchema, EnvoyPeakEwmaSchema, PeakEwmaSchema, PickFirstSchema } from '@weft/xds-api/load-balancing';
import { OrcaLoadReportSchema } from '@weft/xds-api/orca';
import { FakeClock } from '@weft/spiffe/testing';
import { describe, expect, it } from 'vitest';
import { HeaderMap } from '../stream/header-map.js';
import { Host } from '../upstream/host.js';
import type { Cluster } from '../upstream/cluster.js';
import { cluster, clusterContext, endpoints } from '../upstream/test-support.js';
import { readLoadReport } from './load-report.js';
import type { LoadReport } from './load-balancer.js';
import { clientSideWeightedRoundRobin, weightFrom } from './policy/client-side-weighted-round-robin.js';
import { envoyPeakEwma, peakEwma } from './policy/peak-ewma.js';
import { pickFirst } from './policy/pick-first.js';
import { seededRandom } from '../route/test-support.js';

const seed = Math.floor(Math.random() * 2 ** 31);
const pick = (from: Cluster, more = {}) => (from.choose({ attempt: 0, priority: 'default', ...more }) as Host).config.address;
const shares = (from: Cluster, count: number) => {
  const result: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const name = pick(from);
    result[name] = (result[name] ?? 0) + 1 / count;
  }
  return result;
};
const hostOf = (from: Cluster, address: string) => from.hosts.find(({ config }) => config.address === address)!;
const setup = (policy: { name: string }, config: unknown, addresses: string[], clock = new FakeClock(1_000_000)) => {
  const from = cluster({ loadBalancing: { policy: policy.name, config } }, endpoints([addresses]), clusterContext({ random: seededRandom(seed), clock }));
  return { from, clock };
};

describe('peak EWMA', () => {
  const config = peakEwma.parse(toBinary(PeakEwmaSchema, create(PeakEwmaSchema, { failurePenalty: { seconds: 5n } })));
  const answer = (from: Cluster, address: string, ms: number, outcome = { status: 200 }) => {
    const track = from.tracker!.begin(hostOf(from, address));
    track.head?.({ ...outcome, headers: new HeaderMap() });
    track.firstData?.(ms);
    track.end({ ...outcome, durationMs: ms + 1000 });
  };

  it('prefers the host whose last peak is lower', () => {
    const { from } = setup(peakEwma, config, ['slow', 'fast']);
    answer(from, 'slow', 400);
    answer(from, 'fast', 50);
    expect(shares(from, 50)).toEqual({ fast: expect.closeTo(1) });
  });

  it('multiplies by what is pending, and counts until the first bytes', () => {
    const { from } = setup(peakEwma, config, ['a', 'b']);
    const tracks = [1, 2, 3].map(() => from.tracker!.begin(hostOf(from, 'a')));
    expect(shares(from, 20)).toEqual({ b: expect.closeTo(1) });
    for (const track of tracks) track.firstData?.(30);
    const other = from.tracker!.begin(hostOf(from, 'b'));
    expect(shares(from, 20)).toEqual({ a: expect.closeTo(1) });
    for (const track of [...tracks, other]) track.end({ durationMs: 31 });
  });

  it('tries a slow host again after a while', () => {
    const { from, clock } = setup(peakEwma, config, ['slow', 'fast']);
    answer(from, 'slow', 400);
    answer(from, 'fast', 50);
    clock.advance(20_000);
    answer(from, 'fast', 60);
    // 400 ms, decayed over two time constants, against the new peak.
    expect(shares(from, 20)).toEqual({ slow: expect.closeTo(1) });
  });

  it('rises to a peak at once and falls slowly', () => {
    const { from } = setup(peakEwma, config, ['a', 'b']);
    answer(from, 'a', 500);
    answer(from, 'a', 10);
    answer(from, 'b', 300);
    expect(shares(from, 20)).toEqual({ b: expect.closeTo(1) });
  });

  it('a failure counts as its penalty, however quick', () => {
    const { from } = setup(peakEwma, config, ['failing', 'slow']);
    answer(from, 'failing', 1, { status: 503 });
    answer(from, 'slow', 1000);
    expect(shares(from, 20)).toEqual({ slow: expect.closeTo(1) });
  });

  it('reads its messages', () => {
    expect(peakEwma.parse(new Uint8Array())).toEqual({ decayMs: 10_000, defaultRttMs: 30, failurePenaltyMs: 0 });
    expect(envoyPeakEwma.parse(toBinary(EnvoyPeakEwmaSchema, create(EnvoyPeakEwmaSchema, { decayTime: { seconds: 3n } })))).toEqual({ decayMs: 3000, defaultRttMs: 10, failurePenaltyMs: 0 });
    expect(() => peakEwma.parse(toBinary(PeakEwmaSchema, create(PeakEwmaSchema, { decayTime: {} })))).toThrow(/decay_time/);
    expect(() => peakEwma.parse(new Uint8Array([0x78, 1]))).toThrow(/#15/);
  });
});

describe('pick first', () => {
  const inOrder = pickFirst.parse(new Uint8Array());

  it('stays with the first host until it cannot be reached, then with the next', () => {
    const { from } = setup(pickFirst, inOrder, ['a', 'b', 'c']);
    expect(shares(from, 10)).toEqual({ a: expect.closeTo(1) });
    from.tracker!.begin(hostOf(from, 'a')).end({ failure: 'connect-failure', durationMs: 1 });
    expect(shares(from, 10)).toEqual({ b: expect.closeTo(1) });
    from.tracker!.begin(hostOf(from, 'a')).end({ status: 200, durationMs: 1 });
    expect(shares(from, 10)).toEqual({ b: expect.closeTo(1) });
  });

  it('keeps its host when others come, and begins anew when it is gone', () => {
    const { from } = setup(pickFirst, inOrder, ['b']);
    expect(pick(from)).toBe('b');
    from.setEndpoints(endpoints([['a', 'b']]));
    expect(pick(from)).toBe('b');
    from.setEndpoints(endpoints([['c', 'a']]));
    expect(pick(from)).toBe('c');
  });

  it('goes on to the next where a retry wants another host', () => {
    const { from } = setup(pickFirst, inOrder, ['a', 'b']);
    const [a] = from.hosts;
    expect(pick(from, { attempted: [a] })).toBe('b');
  });

  it('chooses at random where it is to shuffle', () => {
    const config = pickFirst.parse(toBinary(PickFirstSchema, create(PickFirstSchema, { shuffleAddressList: true })));
    const random = seededRandom(seed);
    const first = new Set(Array.from({ length: 40 }, () => pick(cluster({ loadBalancing: { policy: pickFirst.name, config } }, endpoints([['a', 'b', 'c']]), clusterContext({ random })))));
    expect([...first].sort(), `seed ${seed}`).toEqual(['a', 'b', 'c']);
  });
});

describe('client-side weighted round robin', () => {
  const config = clientSideWeightedRoundRobin.parse(toBinary(ClientSideWeightedRoundRobinSchema, create(ClientSideWeightedRoundRobinSchema, {})));
  const report = (from: Cluster, address: string, text: string, where: 'head' | 'trailers' = 'head') => {
    const track = from.tracker!.begin(hostOf(from, address));
    const headers = new HeaderMap(['endpoint-load-metrics', text]);
    if (where === 'head') track.head?.({ status: 200, headers });
    else track.trailers?.(headers);
    track.end({ status: 200, durationMs: 1 });
  };
  const both = (from: Cluster) => {
    report(from, 'a', 'TEXT cpu_utilization=0.2,rps_fractional=100');
    report(from, 'b', 'TEXT cpu_utilization=0.8,rps_fractional=100', 'trailers');
  };

  it('goes by requests a second over utilisation, once reports have come for a while', () => {
    const { from, clock } = setup(clientSideWeightedRoundRobin, config, ['a', 'b', 'silent']);
    both(from);
    clock.advance(5000);
    both(from);
    const before = shares(from, 300);
    expect(before['a']).toBeCloseTo(before['b'] ?? 0, 1);
    clock.advance(6000);
    // 500 : 125, and for the one that says nothing their median.
    const after = shares(from, 900);
    expect(after['a']).toBeCloseTo(500 / 937, 1);
    expect(after['b']).toBeCloseTo(125 / 937, 1);
    expect(after['silent']).toBeCloseTo(312 / 937, 1);
  });

  it('forgets what is old, and then waits again', () => {
    const { from, clock } = setup(clientSideWeightedRoundRobin, config, ['a', 'b']);
    both(from);
    clock.advance(11_000);
    expect(shares(from, 100)['a']).toBeCloseTo(0.8, 1);
    clock.advance(181_000);
    expect(shares(from, 100)['a']).toBeCloseTo(0.5, 1);
    both(from);
    clock.advance(2000);
    expect(shares(from, 100)['a']).toBeCloseTo(0.5, 1);
    clock.advance(9000);
    expect(shares(from, 100)['a']).toBeCloseTo(0.8, 1);
  });

  it.each<[string, string, readonly string[], number | undefined]>([
    ['utilisation of the application before that of the processor', 'application_utilization=0.5,cpu_utilization=0.1,rps_fractional=50', [], 100],
    ['metrics that are named before both', 'named_metrics.queue=2,application_utilization=0.5,rps_fractional=50', ['named_metrics.queue', 'named_metrics.none'], 25],
    ['errors as utilisation', 'cpu_utilization=0.5,rps_fractional=10,eps=5', [], 10],
    ['nothing without requests', 'cpu_utilization=0.5', [], undefined],
    ['nothing without utilisation', 'rps_fractional=10', [], undefined],
  ])('weighs %s', (_name, text, metricNames, weight) => {
    expect(weightFrom(readLoadReport(new HeaderMap(['endpoint-load-metrics', `TEXT ${text}`])) as LoadReport, { errorPenalty: 1, metricNames })).toBe(weight);
  });

  it('reads out-of-band reports of its hosts where it is told to', () => {
    const oob = clientSideWeightedRoundRobin.parse(toBinary(ClientSideWeightedRoundRobinSchema, create(ClientSideWeightedRoundRobinSchema, { enableOobLoadReport: true, oobReportingPeriod: { seconds: 2n } })));
    const open = new Map<string, (message: Uint8Array) => void>();
    const clock = new FakeClock(0);
    const from = cluster({ loadBalancing: { policy: clientSideWeightedRoundRobin.name, config: oob } }, endpoints([['a', 'b']]), clusterContext({
      random: seededRandom(seed),
      clock,
      loadReports: (host, periodMs, onReport) => {
        expect(periodMs).toBe(2000);
        open.set(host.config.address, onReport);
        return { close: () => void open.delete(host.config.address) };
      },
    }));
    clock.advance(1000);
    const load = (cpuUtilization: number) => toBinary(OrcaLoadReportSchema, create(OrcaLoadReportSchema, { cpuUtilization, rpsFractional: 10 }));
    open.get('a')!(load(0.1));
    open.get('b')!(load(0.9));
    clock.advance(11_000);
    expect(shares(from, 100)['a']).toBeCloseTo(0.9, 1);
    from.setEndpoints(endpoints([['a']]));
    clock.advance(1000);
    expect([...open.keys()]).toEqual(['a']);
    from.close();
    expect(open.size).toBe(0);
  });
});

describe('load reports', () => {
  const message = create(OrcaLoadReportSchema, { cpuUtilization: 0.25, rpsFractional: 12, eps: 1, namedMetrics: { q: 3 }, utilization: { disk: 0.5 } });
  const binary = Buffer.from(toBinary(OrcaLoadReportSchema, message)).toString('base64');

  it.each([
    ['endpoint-load-metrics-bin', binary],
    ['endpoint-load-metrics', `BIN ${binary}`],
    ['endpoint-load-metrics', `JSON ${toJsonString(OrcaLoadReportSchema, message)}`],
    ['endpoint-load-metrics', 'TEXT cpu_utilization=0.25, rps_fractional=12,eps=1,named_metrics.q=3,utilization.disk=0.5'],
    ['endpoint-load-metrics', 'cpu_utilization:0.25,rps_fractional:12,eps:1,named_metrics.q:3,utilization.disk:0.5'],
  ])('are read from %s: %s', (name, value) => {
    const read = readLoadReport(new HeaderMap([name, value]));
    expect(read).toMatchObject({ cpuUtilization: 0.25, rps: 12, eps: 1 });
    expect(['named_metrics.q', 'utilization.disk', 'cpu_utilization', 'x'].map((metric) => read!.metric(metric))).toEqual([3, 0.5, 0.25, undefined]);
  });

  it.each(['TEXT cpu_utilization=a', 'TEXT cpu_utilization=1,cpu_utilization=1', 'JSON {', 'BIN ////', '', 'TEXT =1'])('that cannot be read are none: %s', (value) => {
    expect(readLoadReport(new HeaderMap(['endpoint-load-metrics', value]))).toBeUndefined();
    expect(readLoadReport(new HeaderMap([]))).toBeUndefined();
  });
});
