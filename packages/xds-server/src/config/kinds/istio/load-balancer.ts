import type { LoadBalancer } from '../../../model/traffic-policy.js';
import type { Fields } from '../../fields.js';

const simple = {
  UNSPECIFIED: 'default',
  LEAST_REQUEST: 'least-request',
  LEAST_CONN: 'least-request',
  ROUND_ROBIN: 'round-robin',
  RANDOM: 'random',
  PASSTHROUGH: 'passthrough',
  // Weft's own; Istio has no such word.
  PEAK_EWMA: 'peak-ewma',
} as const;

type ConsistentHash = NonNullable<LoadBalancer['consistentHash']>;
type LocalitySetting = NonNullable<LoadBalancer['locality']>;

export function readLoadBalancer(fields: Fields | undefined): LoadBalancer | undefined {
  if (!fields) return undefined;
  fields.exclusive('simple', 'consistentHash');
  fields.exclusive('warmup', 'warmupDurationSecs');
  const name = fields.oneOf('simple', Object.keys(simple) as (keyof typeof simple)[]);
  const peakEwma = readPeakEwma(fields.object('peakEwma'));
  if (peakEwma && name !== 'PEAK_EWMA') fields.warn('peakEwma', 'has no effect without simple PEAK_EWMA');
  const consistentHash = readConsistentHash(fields.object('consistentHash'));
  const locality = readLocality(fields.object('localityLbSetting'));
  const warmup = readWarmup(fields.object('warmup')) ?? oldWarmup(fields);
  const zoneAware = readZoneAware(fields.object('zoneAwareLbSetting'));
  if (name === 'PASSTHROUGH' && !consistentHash) fields.warn('simple', 'PASSTHROUGH: a process has no original destination, so its clients use LEAST_REQUEST');
  if (warmup && (consistentHash || name === 'RANDOM')) fields.warn(fields.has('warmup') ? 'warmup' : 'warmupDurationSecs', 'has an effect with ROUND_ROBIN and LEAST_REQUEST only');
  if (zoneAware && locality) fields.warn('localityLbSetting', 'has no effect beside zoneAwareLbSetting');
  fields.finish();
  return {
    simple: name ? simple[name] : 'default',
    ...(consistentHash && { consistentHash }),
    ...(peakEwma && { peakEwma }),
    ...(warmup && { warmup }),
    ...(locality && { locality }),
    ...(zoneAware && { zoneAware }),
  };
}

function readPeakEwma(fields: Fields | undefined): LoadBalancer['peakEwma'] {
  if (!fields) return undefined;
  const decayMs = fields.duration('decayTime', { min: 1 });
  const defaultRttMs = fields.duration('defaultRtt');
  const failurePenaltyMs = fields.duration('failurePenalty');
  fields.finish();
  return { ...(decayMs !== undefined && { decayMs }), ...(defaultRttMs !== undefined && { defaultRttMs }), ...(failurePenaltyMs !== undefined && { failurePenaltyMs }) };
}

function readWarmup(fields: Fields | undefined): LoadBalancer['warmup'] {
  if (!fields) return undefined;
  const durationMs = fields.duration('duration');
  if (!fields.has('duration')) fields.error('duration', 'is required');
  const minimumPercent = fields.number('minimumPercent', { min: 0, max: 100 });
  const aggression = fields.number('aggression', { min: 1 });
  fields.finish();
  if (durationMs === undefined) return undefined;
  return { durationMs, ...(minimumPercent !== undefined && { minimumPercent }), ...(aggression !== undefined && { aggression }) };
}

function oldWarmup(fields: Fields): LoadBalancer['warmup'] {
  const durationMs = fields.duration('warmupDurationSecs');
  return durationMs === undefined ? undefined : { durationMs };
}

function readConsistentHash(fields: Fields | undefined): ConsistentHash | undefined {
  if (!fields) return undefined;
  fields.exclusive('httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName');
  fields.exclusive('ringHash', 'maglev');
  const header = fields.string('httpHeaderName');
  const sourceIp = fields.boolean('useSourceIp');
  const queryParameter = fields.string('httpQueryParameterName');
  const cookie = readCookie(fields.object('httpCookie'));
  const ring = fields.object('ringHash');
  const minimumRingSize = fields.integer('minimumRingSize', { max: 8_388_608 });
  const minimumSize = ring?.integer('minimumRingSize', { max: 8_388_608 }) ?? minimumRingSize ?? 1024;
  ring?.finish();
  const maglev = fields.object('maglev');
  const tableSize = maglev?.integer('tableSize', { min: 2, max: 5_000_011 }) ?? 65537;
  if (maglev && !isPrime(tableSize)) maglev.error('tableSize', `must be a prime number, ${tableSize} is not`);
  maglev?.finish();
  if (!header && !cookie && !sourceIp && !queryParameter) {
    fields.report.error(fields.path, 'needs one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName');
  }
  fields.finish();
  return {
    ...(header && { header: header.toLowerCase() }),
    ...(cookie && { cookie }),
    ...(sourceIp && { sourceIp }),
    ...(queryParameter && { queryParameter }),
    ...(maglev ? { maglev: { tableSize } } : { ring: { minimumSize } }),
  };
}

function readCookie(fields: Fields | undefined): ConsistentHash['cookie'] {
  if (!fields) return undefined;
  const name = fields.requiredString('name');
  const path = fields.string('path') ?? '';
  // A ttl of 0 is a session cookie; no ttl at all means that no cookie is made (Istio, HTTPCookie).
  const ttlMs = fields.duration('ttl');
  const attributes = fields.list('attributes').map((entry) => {
    const attribute = { name: entry.requiredString('name'), value: entry.string('value') ?? '' };
    entry.finish();
    for (const part of ['name', 'value'] as const) if (/[;\r\n\0]/.test(attribute[part])) entry.error(part, 'has a character that would end the attribute');
    return attribute;
  });
  if (attributes.length > 0 && ttlMs === undefined) fields.warn('attributes', 'has no effect without ttl: no cookie is made');
  fields.finish();
  return { name, path, attributes, ...(ttlMs !== undefined && { ttlMs }) };
}

function readLocality(fields: Fields | undefined): LocalitySetting | undefined {
  if (!fields) return undefined;
  fields.exclusive('distribute', 'failover');
  fields.exclusive('distribute', 'failoverPriority');
  const distribute = fields.list('distribute').map((entry) => {
    const from = entry.requiredString('from');
    const shares = entry.object('to');
    const to = Object.fromEntries(shares?.keys().map((place) => [place, shares.integer(place, { min: 1, max: 100 }) ?? 0]) ?? []);
    const sum = Object.values(to).reduce((total, share) => total + share, 0);
    if (sum !== 100) entry.error('to', `the shares must sum to 100, not ${sum}`);
    entry.finish();
    return { from, to };
  });
  const setting = { enabled: fields.boolean('enabled') ?? true, distribute, failover: readFailover(fields), failoverPriority: fields.strings('failoverPriority') };
  fields.finish();
  return setting;
}

function readFailover(fields: Fields): LocalitySetting['failover'] {
  return fields.list('failover').map((entry) => {
    const pair = { from: entry.requiredString('from'), to: entry.requiredString('to') };
    if (pair.from === pair.to) entry.error('to', 'must be another region');
    entry.finish();
    return pair;
  });
}

function readZoneAware(fields: Fields | undefined): LoadBalancer['zoneAware'] {
  if (!fields) return undefined;
  const minClusterSize = fields.integer('minClusterSize');
  const setting = { enabled: fields.boolean('enabled') ?? true, failover: readFailover(fields), failoverPriority: fields.strings('failoverPriority') };
  fields.finish();
  return { ...setting, ...(minClusterSize !== undefined && { minClusterSize }) };
}

function isPrime(value: number): boolean {
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false;
  return value > 1;
}
