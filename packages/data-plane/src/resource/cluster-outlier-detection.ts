import { OutlierDetectionSchema, type OutlierDetection } from '@weft/xds-api/cluster';
import type { OutlierDetectionConfig } from './cluster-config.js';
import { join, knownFields, type Report } from './report.js';
import { durationMs } from './value.js';

const durations = { interval: 'intervalMs', base_ejection_time: 'baseEjectionTimeMs', max_ejection_time: 'maxEjectionTimeMs', max_ejection_time_jitter: 'maxEjectionTimeJitterMs' } as const;
const percentages = ['max_ejection_percent', 'enforcing_consecutive_5xx', 'enforcing_success_rate', 'enforcing_consecutive_gateway_failure', 'enforcing_consecutive_local_origin_failure', 'enforcing_local_origin_success_rate', 'failure_percentage_threshold', 'enforcing_failure_percentage', 'enforcing_failure_percentage_local_origin'];
const counts = ['consecutive_5xx', 'consecutive_gateway_failure', 'consecutive_local_origin_failure', 'success_rate_minimum_hosts', 'success_rate_request_volume', 'success_rate_stdev_factor', 'failure_percentage_minimum_hosts', 'failure_percentage_request_volume'];
const switches = ['split_external_local_origin_errors', 'always_eject_one_host', 'successful_active_health_check_uneject_host'];

const fields = knownFields(OutlierDetectionSchema, [...Object.keys(durations), ...percentages, ...counts, ...switches], [], ['monitors']);
const localNames = new Map(OutlierDetectionSchema.fields.map((field) => [field.name, field.localName]));

export function decodeOutlierDetection(message: OutlierDetection, path: string, report: Report): OutlierDetectionConfig {
  report.check(fields, message, path);
  message.monitors.forEach(({ name }, i) => report.add(`${path}.monitors[${i}]`, `${JSON.stringify(name)} is not supported`));
  const values = message as unknown as Record<string, unknown>;
  const config: Record<string, number | boolean> = {};
  for (const [name, key] of Object.entries(durations)) {
    const ms = durationMs(values[localNames.get(name) as string] as OutlierDetection['interval'], join(path, name), report, { positive: name !== 'max_ejection_time_jitter' });
    if (ms !== undefined) config[key] = ms;
  }
  for (const name of [...percentages, ...counts, ...switches]) {
    const key = localNames.get(name) as string;
    const value = values[key] as number | boolean | undefined;
    if (value === undefined) continue;
    if (typeof value === 'number' && value > 100 && percentages.includes(name)) report.add(join(path, name), 'must be 0 to 100');
    config[key] = value;
  }
  return config as OutlierDetectionConfig;
}
