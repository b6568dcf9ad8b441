// Fault injection, set per route (and so only on routes that ask for it).
import { HTTPFaultSchema } from '@weft/xds-api/filter-fault';
import type { Fault, HttpRoute } from '../model/route-rule.js';
import { duration, extension, fraction, type Init } from './message.js';

export const faultFilterName = 'envoy.filters.http.fault';

/** The filter in the chain; it does nothing without a route's own config. */
export function faultFilter() {
  return extension(faultFilterName, HTTPFaultSchema, {});
}

export function hasFault({ fault }: HttpRoute): boolean {
  return fault !== undefined && (delays(fault) || aborts(fault));
}

export function faultConfig(fault: Fault): Init<typeof HTTPFaultSchema> {
  const { delay, abort } = fault;
  return {
    ...(delay && delays(fault) ? { delay: { faultDelaySecifier: { case: 'fixedDelay', value: duration(delay.fixedMs) }, percentage: fraction(delay.percent) } } : {}),
    ...(abort && aborts(fault)
      ? {
          abort: {
            errorType: abort.grpcStatus === undefined ? { case: 'httpStatus', value: abort.httpStatus ?? 503 } : { case: 'grpcStatus', value: abort.grpcStatus },
            percentage: fraction(abort.percent),
          },
        }
      : {}),
  };
}

/** A percentage of 0 means never, and Envoy refuses a delay of 0. */
function delays({ delay }: Fault): boolean {
  return delay !== undefined && delay.percent > 0 && delay.fixedMs > 0;
}

function aborts({ abort }: Fault): boolean {
  return abort !== undefined && abort.percent > 0;
}
