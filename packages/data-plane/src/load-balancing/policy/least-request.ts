import { LeastRequest_SelectionMethod, LeastRequestSchema } from '@weft/xds-api/load-balancing';
import type { Host } from '../../upstream/host.js';
import { startedEdf } from '../edf-scheduler.js';
import { weightsAreEqual } from '../host-weights.js';
import type { LoadBalancerFactory } from '../load-balancer.js';
import { localityConfig, type LocalityAwareConfig } from './locality-config.js';
import { readMessage } from './read-message.js';
import { knownFields } from '../../resource/report.js';
import { parseSlowStart, SlowStart, type SlowStartConfig } from './slow-start.js';

const fields = knownFields(LeastRequestSchema, ['choice_count', 'active_request_bias', 'slow_start_config', 'locality_lb_config', 'enable_full_scan', 'selection_method']);

export interface LeastRequestConfig extends LocalityAwareConfig {
  /** 2 or more. */
  choiceCount: number;
  /** 0 or more; how strongly requests in flight lower a weight. Only where weights differ. */
  activeRequestBias: number;
  fullScan: boolean;
  slowStart?: SlowStartConfig;
}

/** Equal weights: the least loaded of a few random hosts. Different weights: EDF over weight / (active + 1) ^ bias. */
export const leastRequest: LoadBalancerFactory<LeastRequestConfig> = {
  name: 'envoy.load_balancing_policies.least_request',
  typeUrl: 'type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest',
  messages: [LeastRequestSchema],
  parse(value) {
    const message = readMessage(LeastRequestSchema, fields, value);
    const choiceCount = message.choiceCount ?? 2;
    const activeRequestBias = message.activeRequestBias?.defaultValue ?? 1;
    if (choiceCount < 2) throw new Error(`choice_count must be 2 or more, not ${choiceCount}`);
    if (!(activeRequestBias >= 0)) throw new Error(`active_request_bias must not be negative, got ${activeRequestBias}`);
    const fullScan = message.selectionMethod === LeastRequest_SelectionMethod.FULL_SCAN || message.enableFullScan === true;
    return { ...localityConfig(message.localityLbConfig), choiceCount, activeRequestBias, fullScan, ...parseSlowStart(message.slowStartConfig) };
  },
  create({ choiceCount, activeRequestBias, fullScan, slowStart }, { random, now }) {
    const start = slowStart && new SlowStart(slowStart, now);
    return {
      update(hosts) {
        const starting = start?.concerns(hosts) ? start : undefined;
        if (starting || !weightsAreEqual(hosts)) {
          const scheduler = startedEdf(hosts, (host) => (host.config.weight / (host.activeRequests + 1) ** activeRequestBias) * (starting?.factor(host) ?? 1), random);
          return { pick: () => scheduler.pick() };
        }
        if (hosts.length < 2) return { pick: () => hosts[0] };
        if (fullScan) return { pick: () => leastOfAll(hosts, random) };
        return { pick: choiceCount === 2 ? () => leastOfTwo(hosts, random) : () => leastOfSome(hosts, choiceCount, random) };
      },
    };
  },
};

/** The usual case, without the loop. */
function leastOfTwo(hosts: readonly Host[], random: () => number): Host {
  const { length } = hosts;
  const first = hosts[Math.floor(random() * length)] as Host;
  const second = hosts[Math.floor(random() * length)] as Host;
  return second.activeRequests < first.activeRequests ? second : first;
}

/** With replacement; the earlier of equals stays. */
function leastOfSome(hosts: readonly Host[], choices: number, random: () => number): Host | undefined {
  let best: Host | undefined;
  for (let i = 0; i < choices; i++) {
    const host = hosts[Math.floor(random() * hosts.length)] as Host;
    if (best === undefined || host.activeRequests < best.activeRequests) best = host;
  }
  return best;
}

/** Of equals, each with the same probability (reservoir sampling). */
function leastOfAll(hosts: readonly Host[], random: () => number): Host | undefined {
  let best: Host | undefined;
  let ties = 0;
  for (const host of hosts) {
    if (best === undefined || host.activeRequests < best.activeRequests) {
      best = host;
      ties = 1;
    } else if (host.activeRequests === best.activeRequests && random() < 1 / ++ties) best = host;
  }
  return best;
}
