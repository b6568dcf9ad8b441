import { describe, expect, it } from 'vitest';
import type { AttemptTracker, LoadBalancerFactory, TrackerContext } from '../load-balancing/load-balancer.js';
import { Host } from './host.js';
import { cluster, clusterConfig, clusterContext, endpoints } from './test-support.js';

function learning() {
  const seen: string[] = [];
  const made: TrackerContext[] = [];
  const factory: LoadBalancerFactory<{ name: string }> = {
    name: 'learning',
    typeUrl: 'type.googleapis.com/learning',
    parse: () => ({ name: 'a' }),
    create: (_config, _context, tracker) => ({ update: (hosts) => ({ pick: () => (tracker ? hosts[0] : undefined) }) }),
    createTracker: ({ name }, context) => {
      made.push(context);
      seen.push(`made ${name}`);
      return { begin: (host): AttemptTracker => (seen.push(`begin ${host.config.address}`), { end: ({ status }) => void seen.push(`end ${status}`) }), close: () => void seen.push(`closed ${name}`) };
    },
  };
  const context = clusterContext({ loadBalancers: [factory] });
  const of = cluster({ loadBalancing: { policy: 'learning', config: { name: 'a' } } }, endpoints([['a', 'b']]), context);
  return { of, seen, made };
}

describe('a policy that learns from attempts', () => {
  it('has one tracker a cluster, which its balancers share', () => {
    const { of, seen } = learning();
    expect(of.choose({ attempt: 0, priority: 'default' })).toBeInstanceOf(Host);
    of.setEndpoints(endpoints([['a', 'b', 'c']]));
    expect(seen).toEqual(['made a']);
  });

  it('is made anew with another configuration, and closed with its cluster', () => {
    const { of, seen } = learning();
    of.update(clusterConfig({ loadBalancing: { policy: 'learning', config: { name: 'b' } } }));
    expect(seen).toEqual(['made a', 'closed a', 'made b']);
    of.close();
    expect(seen.at(-1)).toBe('closed b');
  });

  it('knows what runs in the cluster', () => {
    const { of, made } = learning();
    const [host] = of.hosts;
    of.begin(host!, 'default');
    of.begin(host!, 'high');
    expect(made[0]!.activeRequests()).toBe(2);
  });
});
