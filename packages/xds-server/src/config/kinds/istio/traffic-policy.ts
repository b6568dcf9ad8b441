// The blocks of a DestinationRule's trafficPolicy (istio-envoy.md 1.2).
import type { ClientTls, ConnectionPool, OutlierDetection, RetryBudget, TrafficPolicy } from '../../../model/traffic-policy.js';
import type { Fields } from '../../fields.js';
import { readBreakers } from './breakers.js';
import { readLoadBalancer } from './load-balancer.js';

export function readTrafficPolicy(fields: Fields | undefined): TrafficPolicy {
  if (!fields) return { ports: [] };
  const blocks = readBlocks(fields);
  const seen = new Set<number>();
  const ports = fields.list('portLevelSettings').flatMap((entry) => {
    const selector = entry.object('port');
    const port = selector?.port('number');
    selector?.finish();
    const policy = readBlocks(entry);
    entry.finish();
    if (port === undefined) fields.report.error(`${entry.path}.port.number`, 'is required');
    else if (seen.has(port)) fields.report.error(`${entry.path}.port.number`, `${port} has settings already`);
    seen.add(port ?? 0);
    return port === undefined ? [] : [{ port, policy }];
  });
  const proxy = fields.object('proxyProtocol');
  const version = proxy?.oneOf('version', ['V1', 'V2'] as const) ?? 'V1';
  proxy?.finish();
  const retryBudget = readRetryBudget(fields.object('retryBudget'));
  fields.unimplemented({ tunnel: 'connections go directly' });
  fields.finish();
  return { ...blocks, ...(retryBudget && { retryBudget }), ...(proxy && { proxyProtocol: version === 'V2' ? 'v2' : 'v1' }), ports };
}

function readBlocks(fields: Fields): Omit<TrafficPolicy, 'ports'> {
  const loadBalancer = readLoadBalancer(fields.object('loadBalancer'));
  const connectionPool = readConnectionPool(fields.object('connectionPool'));
  const outlierDetection = readOutlierDetection(fields.object('outlierDetection'));
  const tls = readClientTls(fields.object('tls'));
  const breakers = readBreakers(fields.object('breakers'));
  return { ...(loadBalancer && { loadBalancer }), ...(connectionPool && { connectionPool }), ...(outlierDetection && { outlierDetection }), ...(tls && { tls }), ...(breakers && { breakers }) };
}

function readRetryBudget(fields: Fields | undefined): RetryBudget | undefined {
  if (!fields) return undefined;
  const budget = { percent: fields.number('percent', { min: 0, max: 100 }), minConcurrency: fields.integer('minRetryConcurrency', limit) };
  fields.unimplemented({ budgetInterval: 'the requests that run now count' });
  fields.finish();
  return defined(budget);
}

/** Envoy's timers need an answer's limit; without one of its own it is the interval. */
function readHttp2KeepAlive(fields: Fields | undefined): ConnectionPool['http2KeepAlive'] {
  if (!fields) return undefined;
  const intervalMs = fields.duration('interval', { min: 1 });
  const timeoutMs = fields.duration('timeout', { min: 1 }) ?? intervalMs;
  fields.finish();
  if (intervalMs === undefined || timeoutMs === undefined) return void fields.error('interval', 'is required');
  return { intervalMs, timeoutMs };
}

function readTcpKeepalive(fields: Fields | undefined): ConnectionPool['tcpKeepalive'] {
  if (!fields) return undefined;
  const keepalive = { probes: fields.integer('probes', limit), timeMs: fields.duration('time', { min: 1000 }), intervalMs: fields.duration('interval', { min: 1000 }) };
  fields.finish();
  return defined(keepalive);
}

const h2Policies = ['DEFAULT', 'UPGRADE', 'DO_NOT_UPGRADE'] as const;
const limit = { max: 2 ** 31 - 1 };

function readConnectionPool(fields: Fields | undefined): ConnectionPool | undefined {
  if (!fields) return undefined;
  const tcp = fields.object('tcp');
  const http = fields.object('http');
  const h2 = http?.oneOf('h2UpgradePolicy', h2Policies);
  const pool = {
    maxConnections: tcp?.integer('maxConnections', limit),
    connectTimeoutMs: tcp?.duration('connectTimeout'),
    maxConnectionDurationMs: tcp?.duration('maxConnectionDuration'),
    tcpIdleTimeoutMs: tcp?.duration('idleTimeout'),
    http1MaxPendingRequests: http?.integer('http1MaxPendingRequests', limit),
    http2MaxRequests: http?.integer('http2MaxRequests', limit),
    maxRequestsPerConnection: http?.integer('maxRequestsPerConnection', limit),
    maxRetries: http?.integer('maxRetries', limit),
    idleTimeoutMs: http?.duration('idleTimeout'),
    maxConcurrentStreams: http?.integer('maxConcurrentStreams', limit),
    h2Upgrade: h2 === 'UPGRADE' ? 'upgrade' : h2 === 'DO_NOT_UPGRADE' ? 'do-not-upgrade' : undefined,
    tcpKeepalive: readTcpKeepalive(tcp?.object('tcpKeepalive')),
    http2KeepAlive: readHttp2KeepAlive(http?.object('http2KeepAlive')),
    useClientProtocol: http?.boolean('useClientProtocol'),
  } as const;
  tcp?.finish();
  http?.finish();
  fields.finish();
  return defined(pool);
}

function readOutlierDetection(fields: Fields | undefined): OutlierDetection | undefined {
  if (!fields) return undefined;
  const detection = {
    consecutive5xx: fields.integer('consecutive5xxErrors'),
    consecutiveGatewayErrors: fields.integer('consecutiveGatewayErrors'),
    splitExternalLocalOriginErrors: fields.boolean('splitExternalLocalOriginErrors'),
    consecutiveLocalOriginFailures: fields.integer('consecutiveLocalOriginFailures'),
    intervalMs: fields.duration('interval', { min: 1 }),
    baseEjectionMs: fields.duration('baseEjectionTime', { min: 1 }),
    maxEjectionPercent: fields.integer('maxEjectionPercent', { max: 100 }),
    minHealthPercent: fields.integer('minHealthPercent', { max: 100 }),
  };
  fields.unimplemented({ consecutiveErrors: 'use consecutive5xxErrors or consecutiveGatewayErrors', outlierDetectionHttpErrorCodes: 'all 5xx count as errors (the definitions Weft is built with have no place for it)' });
  fields.finish();
  return defined(detection);
}

const tlsModes = { DISABLE: 'disable', SIMPLE: 'simple', MUTUAL: 'mutual', ISTIO_MUTUAL: 'istio-mutual' } as const;
const certificateFields = ['clientCertificate', 'privateKey', 'caCertificates'] as const;

function readClientTls(fields: Fields | undefined): ClientTls | undefined {
  if (!fields) return undefined;
  const mode = fields.oneOf('mode', Object.keys(tlsModes) as (keyof typeof tlsModes)[]);
  const sni = fields.string('sni');
  const files = Object.fromEntries(certificateFields.flatMap((name) => { const value = fields.string(name); return value ? [[name, value]] : []; }));
  const tls: ClientTls = {
    mode: tlsModes[mode ?? 'DISABLE'],
    subjectAltNames: fields.strings('subjectAltNames'),
    insecureSkipVerify: fields.boolean('insecureSkipVerify') ?? false,
    ...(sni && { sni }),
    ...files,
  };
  // Leaving either out would connect with less security than the object asks for.
  for (const name of ['credentialName', 'caCrl']) if (fields.has(name)) fields.error(name, 'is not implemented, and cannot safely be left out');
  fields.finish();
  if (mode === 'ISTIO_MUTUAL') for (const name of Object.keys(files)) fields.error(name, 'cannot be set with ISTIO_MUTUAL: the mesh gives the certificates');
  if (mode === 'MUTUAL') for (const name of ['clientCertificate', 'privateKey'] as const) if (!files[name]) fields.error(name, 'is required with MUTUAL');
  if (tls.insecureSkipVerify) fields.warn('insecureSkipVerify', "the server's certificate is not verified");
  return tls;
}

function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
