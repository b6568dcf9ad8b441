import type { Host } from '../host.js';
import type { AttemptResult, OutlierCriterion } from './outlier-criterion.js';

/** So many failures in a row. `judge`: undefined = does not count for or against. A threshold of 0 switches it off. */
export function consecutive(options: { name: string; threshold: number; enforcing: number; judge: (result: AttemptResult) => 'failure' | 'success' | undefined }): OutlierCriterion {
  const { name, threshold, enforcing, judge } = options;
  const counts = new WeakMap<Host, number>();
  return {
    name,
    enforcing,
    onResult(host, result) {
      const verdict = judge(result);
      if (verdict === undefined) return false;
      const count = verdict === 'failure' ? (counts.get(host) ?? 0) + 1 : 0;
      const reached = count > 0 && count === threshold;
      // Starts anew even if the ejection is not allowed, so that the host is judged again after as many failures.
      if (reached || count === 0) counts.delete(host);
      else counts.set(host, count);
      return reached;
    },
    reset: (host) => void counts.delete(host),
  };
}
