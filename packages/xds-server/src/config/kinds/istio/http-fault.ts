import type { Fault } from '../../../model/route-rule.js';
import type { Fields } from '../../fields.js';
import { readPercent } from './http-destination.js';

/** By number, as gRPC numbers them. */
const grpcStatuses = [
  'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED',
] as const;

export function readFault(parent: Fields): Fault | undefined {
  const fields = parent.object('fault');
  if (!fields) return undefined;
  const fault: Fault = {};
  const delay = fields.object('delay');
  if (delay) {
    const fixedMs = delay.duration('fixedDelay');
    delay.unimplemented({ exponentialDelay: 'only fixedDelay is' });
    const percent = readShare(delay);
    delay.finish();
    if (fixedMs === undefined) delay.error('fixedDelay', 'is required');
    else fault.delay = { fixedMs, percent };
  }
  const abort = fields.object('abort');
  if (abort) {
    abort.exclusive('httpStatus', 'grpcStatus');
    const httpStatus = abort.integer('httpStatus', { min: 200, max: 599 });
    const grpc = abort.oneOf('grpcStatus', grpcStatuses);
    abort.unimplemented({ http2Error: 'abort with httpStatus or grpcStatus' });
    const percent = readShare(abort);
    abort.finish();
    if (!abort.has('httpStatus') && !abort.has('grpcStatus')) abort.error('httpStatus', 'one of httpStatus and grpcStatus is required');
    fault.abort = { percent, ...(httpStatus !== undefined && { httpStatus }), ...(grpc && { grpcStatus: grpcStatuses.indexOf(grpc) }) };
  }
  fields.finish();
  return fault;
}

/** Istio: a missing percentage means never, which hardly anybody expects. */
function readShare(fields: Fields): number {
  const percentage = fields.object('percentage');
  const old = fields.integer('percent', { max: 100 });
  if (!percentage && old === undefined) fields.warn('percentage', 'is missing, so this fault never happens (set percentage.value)');
  return percentage ? readPercent(percentage) : (old ?? 0);
}
