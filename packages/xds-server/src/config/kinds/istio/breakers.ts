import type { Breakers } from '../../../model/traffic-policy.js';
import type { Fields } from '../../fields.js';

/** `trafficPolicy.breakers`: Weft's own, Istio has nothing like it. */
export function readBreakers(fields: Fields | undefined): Breakers | undefined {
  if (!fields) return undefined;
  const adaptive = readAdaptive(fields.object('adaptive'));
  const errorRate = readErrorRate(fields.object('errorRate'));
  fields.finish();
  return { ...(adaptive && { adaptive }), ...(errorRate && { errorRate }) };
}

function readAdaptive(fields: Fields | undefined): Breakers['adaptive'] {
  if (!fields) return undefined;
  const latencyThresholdMs = fields.duration('latencyThreshold', { min: 1 });
  if (!fields.has('latencyThreshold')) fields.error('latencyThreshold', 'is required');
  const minConcurrency = fields.integer('minConcurrency', { min: 1 });
  const maxConcurrency = fields.integer('maxConcurrency', { min: 1 });
  fields.finish();
  if (maxConcurrency !== undefined && maxConcurrency < (minConcurrency ?? 1)) fields.error('maxConcurrency', `must not be below minConcurrency (${minConcurrency})`);
  if (latencyThresholdMs === undefined) return undefined;
  return { latencyThresholdMs, ...(minConcurrency !== undefined && { minConcurrency }), ...(maxConcurrency !== undefined && { maxConcurrency }) };
}

function readErrorRate(fields: Fields | undefined): Breakers['errorRate'] {
  if (!fields) return undefined;
  const errorThresholdPercent = fields.number('errorThresholdPercent', { min: 0, max: 100 });
  const volumeThreshold = fields.integer('volumeThreshold');
  const rollingWindowMs = fields.duration('rollingWindow', { min: 1 });
  const resetTimeoutMs = fields.duration('resetTimeout', { min: 1 });
  fields.finish();
  return {
    ...(errorThresholdPercent !== undefined && { errorThresholdPercent }),
    ...(volumeThreshold !== undefined && { volumeThreshold }),
    ...(rollingWindowMs !== undefined && { rollingWindowMs }),
    ...(resetTimeoutMs !== undefined && { resetTimeoutMs }),
  };
}
