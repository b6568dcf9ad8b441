import { RandomSchema } from '@weft/xds-api/load-balancing';
import type { LoadBalancerFactory } from '../load-balancer.js';
import { localityConfig, type LocalityAwareConfig } from './locality-config.js';
import { readMessage } from './read-message.js';
import { knownFields } from '../../resource/report.js';

const fields = knownFields(RandomSchema, ['locality_lb_config']);

/** Uniform; endpoint weights are not looked at, as in Envoy. */
export const random: LoadBalancerFactory<LocalityAwareConfig> = {
  name: 'envoy.load_balancing_policies.random',
  typeUrl: 'type.googleapis.com/envoy.extensions.load_balancing_policies.random.v3.Random',
  messages: [RandomSchema],
  parse: (value) => localityConfig(readMessage(RandomSchema, fields, value).localityLbConfig),
  create: (_config, context) => ({
    update: (hosts) => ({ pick: () => hosts[Math.floor(context.random() * hosts.length)] }),
  }),
};
