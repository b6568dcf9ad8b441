// The two criteria that look at a whole interval: success rate against the mean of all hosts, and plain failure percentage.
import type { Host } from '../host.js';
import type { AttemptResult, OutlierCriterion } from './outlier-criterion.js';

interface Options {
  name: string;
  enforcing: number;
  /** Hosts with enough requests that are needed before anything is judged. */
  minimumHosts: number;
  /** Requests in the interval that a host needs to be judged. */
  requestVolume: number;
  judge: (result: AttemptResult) => 'failure' | 'success' | undefined;
}

/** Below mean − factor/1000 · standard deviation of all judged hosts. */
export function successRate(options: Options & { stdevFactor: number }): OutlierCriterion {
  return overInterval(options, (rates) => {
    const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
    const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length;
    const least = mean - (options.stdevFactor / 1000) * Math.sqrt(variance);
    return (rate) => rate < least;
  });
}

/** Failures at or above a percentage. */
export function failurePercentage(options: Options & { threshold: number }): OutlierCriterion {
  return overInterval(options, () => (rate) => 100 - rate >= options.threshold);
}

function overInterval({ name, enforcing, minimumHosts, requestVolume, judge }: Options, rule: (rates: readonly number[]) => (rate: number) => boolean): OutlierCriterion {
  let counts = new Map<Host, { total: number; success: number }>();
  return {
    name,
    enforcing,
    onResult(host, result) {
      const verdict = judge(result);
      if (verdict === undefined) return false;
      let count = counts.get(host);
      if (!count) counts.set(host, (count = { total: 0, success: 0 }));
      count.total++;
      if (verdict === 'success') count.success++;
      return false;
    },
    onInterval(hosts) {
      const judged = hosts.flatMap((host) => {
        const count = counts.get(host);
        return count && count.total > 0 && count.total >= requestVolume ? [{ host, rate: (100 * count.success) / count.total }] : [];
      });
      counts = new Map();
      if (judged.length === 0 || judged.length < minimumHosts) return [];
      const isOutlier = rule(judged.map(({ rate }) => rate));
      return judged.filter(({ rate }) => isOutlier(rate)).map(({ host }) => host);
    },
    reset: (host) => void counts.delete(host),
  };
}
