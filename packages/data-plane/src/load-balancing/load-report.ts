// ORCA load reports, in the forms in which they come with responses: `endpoint-load-metrics-bin` (gRPC) and `endpoint-load-metrics`
// (`TEXT`, `JSON` or `BIN` before it).
import { fromBinary, fromJsonString } from '@weft/xds-api/protobuf';
import { OrcaLoadReportSchema, type OrcaLoadReport } from '@weft/xds-api/orca';
import type { HeaderLookup, LoadReport } from './load-balancer.js';

/** Undefined where there is none, or one that cannot be read: a host's mistake must not cost its caller the response. */
export function readLoadReport(headers: HeaderLookup): LoadReport | undefined {
  try {
    const binary = headers.get('endpoint-load-metrics-bin');
    if (binary !== undefined) return reportOf(fromBinary(OrcaLoadReportSchema, Buffer.from(binary, 'base64')));
    const text = headers.get('endpoint-load-metrics');
    if (text === undefined) return undefined;
    const [, format, rest = ''] = /^(?:(TEXT|JSON|BIN) +)?(.*)$/.exec(text) ?? [];
    if (format === 'BIN') return reportOf(fromBinary(OrcaLoadReportSchema, Buffer.from(rest, 'base64')));
    return format === 'JSON' ? reportOf(fromJsonString(OrcaLoadReportSchema, rest)) : readText(rest);
  } catch {
    return undefined;
  }
}

/** Undefined where it cannot be read. */
export function decodeLoadReport(message: Uint8Array): LoadReport | undefined {
  try {
    return reportOf(fromBinary(OrcaLoadReportSchema, message));
  } catch {
    return undefined;
  }
}

function reportOf(report: OrcaLoadReport): LoadReport {
  const { cpuUtilization, applicationUtilization, rpsFractional: rps, eps } = report;
  return { cpuUtilization, applicationUtilization, rps, eps, metric: (name) => metricOf(report, name) };
}

function metricOf(report: OrcaLoadReport, name: string): number | undefined {
  const dot = name.indexOf('.');
  const [map, key] = [name.slice(0, dot), name.slice(dot + 1)];
  if (map === 'named_metrics') return report.namedMetrics[key];
  if (map === 'utilization') return report.utilization[key];
  return { cpu_utilization: report.cpuUtilization, mem_utilization: report.memUtilization, application_utilization: report.applicationUtilization }[name];
}

/** `cpu_utilization=0.3, named_metrics.queue=4`. One part that cannot be read spoils all, as in Envoy. */
function readText(text: string): LoadReport | undefined {
  const metrics = new Map<string, number>();
  for (const part of text.split(',')) {
    const [, name = '', number = ''] = /^\s*([^=:\s]+)\s*[=:]\s*(\S+)\s*$/.exec(part) ?? [];
    const value = Number(number);
    if (name === '' || number === '' || !Number.isFinite(value) || metrics.has(name)) return undefined;
    metrics.set(name, value);
  }
  const get = (name: string) => metrics.get(name) ?? 0;
  return { cpuUtilization: get('cpu_utilization'), applicationUtilization: get('application_utilization'), rps: get('rps_fractional') || get('rps'), eps: get('eps'), metric: (name) => metrics.get(name) };
}
