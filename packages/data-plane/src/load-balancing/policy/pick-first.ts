import { PickFirstSchema } from '@weft/xds-api/load-balancing';
import type { Host } from '../../upstream/host.js';
import type { LoadBalancerFactory, LoadTracker } from '../load-balancer.js';
import { readMessage } from './read-message.js';
import { knownFields } from '../../resource/report.js';

const fields = knownFields(PickFirstSchema, ['shuffle_address_list']);

export interface PickFirstConfig {
  shuffle: boolean;
}

interface Failures extends LoadTracker {
  /** Hosts that could not be reached since they last answered. */
  readonly failed: Set<Host>;
}

/** All requests to one host, in the order of the list (or a random one): the first that is usable and can be reached, until it no longer is (gRFC A62). */
export const pickFirst: LoadBalancerFactory<PickFirstConfig> = {
  name: 'envoy.load_balancing_policies.pick_first',
  typeUrl: 'type.googleapis.com/envoy.extensions.load_balancing_policies.pick_first.v3.PickFirst',
  messages: [PickFirstSchema],
  parse: (value) => ({ shuffle: readMessage(PickFirstSchema, fields, value).shuffleAddressList }),
  createTracker(): Failures {
    const failed = new Set<Host>();
    return {
      failed,
      begin: (host) => ({
        end({ failure }) {
          if (failure === 'connect-failure') failed.add(host);
          else if (failed.size > 0) failed.delete(host);
        },
      }),
    };
  },
  create({ shuffle }, { random }, tracker) {
    const { failed } = tracker as Failures;
    let current: Host | undefined;
    return {
      update(hosts) {
        const order = shuffle ? shuffled(hosts, random) : hosts;
        return {
          pick({ reselection = 0 }) {
            if (current === undefined || failed.has(current) || !order.includes(current)) {
              // Nobody can be reached: from the first again.
              if (order.length > 0 && order.every((host) => failed.has(host))) failed.clear();
              current = order.find((host) => !failed.has(host));
            }
            return reselection === 0 || current === undefined ? current : order[(order.indexOf(current) + reselection) % order.length];
          },
        };
      },
    };
  },
};

function shuffled(hosts: readonly Host[], random: () => number): Host[] {
  const list = [...hosts];
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j] as Host, list[i] as Host];
  }
  return list;
}
