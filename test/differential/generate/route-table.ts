// A route table of random virtual hosts and routes, with random filters in front.
import type { JsonObject, Table } from '../model.js';
import { action, retryPolicy } from './actions.js';
import type { Draw } from './draw.js';
import { filterOverrides, httpFilters } from './filters.js';
import { routeMatch } from './matchers.js';
import { routeTree } from './matcher-tree.js';
import { headerMutations } from './mutations.js';
import { hosts, ports } from './values.js';

export function table(draw: Draw): Table {
  const filters = httpFilters(draw);
  const domains = [...new Set([...(draw.chance(0.7) ? ['*'] : []), ...draw.some(allDomains, 2, 9)])];
  const count = draw.int(1, 4);
  const virtualHosts = Array.from({ length: count }, (_, i) => virtualHost(draw, i, domains.filter((_domain, j) => j % count === i), filters));
  return {
    httpFilters: filters,
    routes: {
      name: 'routes',
      validate_clusters: false,
      virtual_hosts: virtualHosts.filter((one) => (one['domains'] as string[]).length > 0),
      ...headerMutations(draw, 0.25),
      ...draw.maybe(0.3, () => ({ most_specific_header_mutations_wins: true })),
      ...draw.maybe(0.3, () => ({ ignore_port_in_host_matching: true })),
      ...filterOverrides(draw, filters, 0.05),
    },
  };
}

const allDomains = [
  '*',
  ...hosts.map((host) => host.toLowerCase()),
  ...hosts.slice(0, 4).map((host) => `${host}:8080`),
  '*.test', '*.a.test', '*.api.a.test', '*.org', '*.test:8080', '*st', 'a.*', 'api.*', 'api.a*', 'x.*', '10.*',
];

function virtualHost(draw: Draw, index: number, domains: string[], filters: JsonObject[]): JsonObject {
  let count = 0;
  const named = (one: JsonObject = route(draw, filters)): JsonObject => ({ name: `r-${index}-${count++}`, ...one });
  return {
    name: `vh-${index}`,
    domains: [...new Set(domains)],
    ...(draw.chance(0.12) ? { matcher: routeTree(draw, named, 2) } : { routes: draw.list(1, 6, () => route(draw, filters)).concat(draw.chance(0.6) ? [{ ...route(draw, filters, { prefix: '/' }) }] : []).map((one) => named(one)) }),
    ...headerMutations(draw, 0.2),
    ...draw.maybe(0.3, () => ({ include_request_attempt_count: true })),
    ...draw.maybe(0.1, () => ({ retry_policy: retryPolicy(draw) })),
    ...filterOverrides(draw, filters, 0.1),
    ...draw.maybe(0.03, () => ({ request_mirror_policies: [{ cluster: 'two' }] })),
  };
}

function route(draw: Draw, filters: JsonObject[], match = routeMatch(draw)): JsonObject {
  return { match, ...action(draw, match), ...headerMutations(draw, 0.25), ...filterOverrides(draw, filters, 0.2) };
}

export { ports };
