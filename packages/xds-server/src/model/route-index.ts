// Route rules by host (contracts.md 5: any namespace that exports may claim a host, the first by age wins).
import { dependency, type Touch } from './dependency.js';
import { exportedTo, hostPatterns } from './host-pattern.js';
import type { RouteRule } from './route-rule.js';
import { AgeOrderedGroups } from './sorted-list.js';

export class RouteIndex {
  readonly #byHost = new AgeOrderedGroups<RouteRule>();

  add(rule: RouteRule, touch: Touch): void {
    for (const host of new Set(rule.hosts)) {
      this.#byHost.add(host, rule);
      touch(dependency.route(host));
    }
  }

  delete(rule: RouteRule, touch: Touch): void {
    for (const host of new Set(rule.hosts)) {
      this.#byHost.delete(host, rule);
      touch(dependency.route(host));
    }
  }

  rule(host: string, clientNamespace: string, record: Touch): RouteRule | undefined {
    for (const pattern of hostPatterns(host)) {
      record(dependency.route(pattern));
      const found = this.#byHost.get(pattern).find((rule) => exportedTo(rule.exportTo, clientNamespace));
      if (found) return found;
    }
    return undefined;
  }
}
