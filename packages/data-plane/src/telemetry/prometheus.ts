// Metrics for Prometheus: as text, or through an application's prom-client registry.
import { Histogram, type Family, type Stats } from './stats.js';

export const prometheusContentType = 'text/plain; version=0.0.4; charset=utf-8';

/** The exposition text of all metrics. */
export function prometheusText(stats: Stats): string {
  let text = '';
  for (const family of stats.families()) {
    if (family.size === 0) continue;
    text += `# HELP ${family.name} ${family.help}\n# TYPE ${family.name} ${family.type}\n`;
    for (const { name, labels, value } of samples(family)) {
      const list = Object.keys(labels).map((label) => `${label}="${escape(String(labels[label]))}"`).join(',');
      text += `${name}${list && `{${list}}`} ${value}\n`;
    }
  }
  return text;
}

interface Sample {
  name: string;
  labels: Record<string, string | number>;
  value: number;
}

function* samples(family: Family): Generator<Sample> {
  for (const { values, metric } of family) {
    const labels: Record<string, string> = {};
    family.labels.forEach((label, index) => (labels[label] = values[index] as string));
    if (!(metric instanceof Histogram)) {
      yield { name: family.name, labels, value: metric.value };
      continue;
    }
    let cumulative = 0;
    for (let i = 0; i <= metric.bounds.length; i++) {
      cumulative += metric.counts[i] as number;
      yield { name: `${family.name}_bucket`, labels: { ...labels, le: i < metric.bounds.length ? (metric.bounds[i] as number) : '+Inf' }, value: cumulative };
    }
    yield { name: `${family.name}_sum`, labels, value: metric.sum };
    yield { name: `${family.name}_count`, labels, value: metric.count };
  }
}

function escape(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}

/** What a prom-client `Registry` has of interest here. */
export interface MetricRegistry {
  registerMetric(metric: never): void;
  getSingleMetric(name: string): unknown;
}

/** Shows every metric in a registry of prom-client. Metrics that come later appear after the next call; calling again is harmless. */
export function bridgeToRegistry(stats: Stats, registry: MetricRegistry): void {
  for (const family of stats.families()) {
    if (registry.getSingleMetric(family.name) !== undefined) continue;
    const get = () =>
      Promise.resolve({
        name: family.name,
        help: family.help,
        type: family.type,
        aggregator: 'sum',
        values: [...samples(family)].map(({ name, labels, value }) => ({ metricName: name, labels, value })),
      });
    registry.registerMetric({ name: family.name, help: family.help, type: family.type, aggregator: 'sum', get, reset() {} } as never);
  }
}
