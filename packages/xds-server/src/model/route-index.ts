// Route rules by host (contracts.md 5: any namespace that exports may claim a host, the first by age wins).
import { dependency, type Touch } from './dependency.js';
import { exportedTo, hostPatterns } from './host-pattern.js';
import { delegatedRoutes } from './route-delegation.js';
import type { RouteDelegate, RouteRule } from './route-rule.js';
import { AgeOrderedGroups } from './sorted-list.js';

export class RouteIndex {
  readonly #byHost = new AgeOrderedGroups<RouteRule>();
  readonly #delegates = new Map<string, RouteDelegate>();

  add(rule: RouteRule, touch: Touch): void {
    for (const host of new Set(rule.hosts)) {
      this.#byHost.add(host, rule);
      touch(dependency.route(host));
    }
    touch(dependency.routeHosts);
  }

  delete(rule: RouteRule, touch: Touch): void {
    for (const host of new Set(rule.hosts)) {
      this.#byHost.delete(host, rule);
      touch(dependency.route(host));
    }
    touch(dependency.routeHosts);
  }

  /** Hosts, wildcards among them, that some rule with HTTP routes has for clients of a namespace. */
  hosts(clientNamespace: string, record: Touch): string[] {
    record(dependency.routeHosts);
    const hasHttp = ({ http, delegations }: RouteRule) => http.length > 0 || delegations !== undefined;
    return this.#byHost.keys().filter((host) => this.#byHost.get(host).some((rule) => exportedTo(rule.exportTo, clientNamespace) && hasHttp(rule))).sort();
  }

  addDelegate(delegate: RouteDelegate, touch: Touch): void {
    const place = dependency.routeDelegate(delegate.namespace, delegate.name);
    this.#delegates.set(place, delegate);
    touch(place);
  }

  deleteDelegate(delegate: RouteDelegate, touch: Touch): void {
    const place = dependency.routeDelegate(delegate.namespace, delegate.name);
    this.#delegates.delete(place);
    touch(place);
  }

  /** With the routes of its delegates in their places. */
  rule(host: string, clientNamespace: string, record: Touch): RouteRule | undefined {
    for (const pattern of hostPatterns(host)) {
      record(dependency.route(pattern));
      const found = this.#byHost.get(pattern).find((rule) => exportedTo(rule.exportTo, clientNamespace));
      if (found) return found.delegations ? this.#merged(found, record) : found;
    }
    return undefined;
  }

  /** Undefined where there is none, or none that the namespace may take up. */
  delegate(namespace: string, name: string, clientNamespace: string, record: Touch): RouteDelegate | undefined {
    const place = dependency.routeDelegate(namespace, name);
    record(place);
    const found = this.#delegates.get(place);
    return found && exportedTo(found.exportTo, clientNamespace) ? found : undefined;
  }

  #merged(rule: RouteRule, record: Touch): RouteRule {
    const http = [...rule.http];
    // From the end, so that the places of those before stay what they are.
    for (const delegation of [...(rule.delegations ?? [])].reverse()) {
      const delegate = this.delegate(delegation.namespace, delegation.delegate, rule.namespace, record);
      if (delegate) http.splice(delegation.at, 0, ...delegatedRoutes(delegation, delegate).routes);
    }
    return { ...rule, http };
  }
}
