import { RoundRobinSchema } from '@weft/xds-api/load-balancing';
import { startedEdf } from '../edf-scheduler.js';
import { weightOf, weightsAreEqual } from '../host-weights.js';
import type { LoadBalancerFactory } from '../load-balancer.js';
import { startedRotation } from '../weighted-rotation.js';
import { localityConfig, type LocalityAwareConfig } from './locality-config.js';
import { readMessage } from './read-message.js';
import { knownFields } from '../../resource/report.js';
import { parseSlowStart, SlowStart, type SlowStartConfig } from './slow-start.js';

const fields = knownFields(RoundRobinSchema, ['slow_start_config', 'locality_lb_config']);

export interface RoundRobinConfig extends LocalityAwareConfig {
  slowStart?: SlowStartConfig;
}

/** Rotation from a random start; by weight (EDF) where weights differ. */
export const roundRobin: LoadBalancerFactory<RoundRobinConfig> = {
  name: 'envoy.load_balancing_policies.round_robin',
  typeUrl: 'type.googleapis.com/envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin',
  messages: [RoundRobinSchema],
  parse(value) {
    const message = readMessage(RoundRobinSchema, fields, value);
    return { ...localityConfig(message.localityLbConfig), ...parseSlowStart(message.slowStartConfig) };
  },
  create({ slowStart }, { random, now }) {
    const start = slowStart && new SlowStart(slowStart, now);
    // Goes on across updates: a rotation that began anew at each would favour the first hosts of a busy mesh.
    let next = Math.floor(random() * 2 ** 31);
    return {
      update(hosts) {
        if (start?.concerns(hosts)) {
          const scheduler = startedEdf(hosts, (host) => weightOf(host) * start.factor(host), random);
          return { pick: () => scheduler.pick() };
        }
        if (weightsAreEqual(hosts)) return { pick: () => hosts[next++ % hosts.length] };
        const rotation = startedRotation(hosts, weightOf, random);
        return { pick: () => rotation.pick() };
      },
    };
  },
};
