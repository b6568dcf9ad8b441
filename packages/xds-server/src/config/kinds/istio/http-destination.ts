import type { Destination, Mirror, RouteAction, WeightedDestination } from '../../../model/route-rule.js';
import type { NormalizeContext } from '../../config-kind.js';
import type { Fields } from '../../fields.js';
import { hostProblem, resolveHost } from '../../names.js';
import { readHeaderEdits } from './http-headers.js';

/** How destinations of one rule are read: its namespace completes short hosts. */
export interface DestinationScope {
  namespace: string;
  context: NormalizeContext;
}

export function readRoute(parent: Fields, scope: DestinationScope): RouteAction | undefined {
  const destinations = readDestinations(parent, scope, readHeaderEdits);
  return destinations && { kind: 'route', destinations };
}

/** Undefined where there are none at all. */
export function readDestinations(parent: Fields, scope: DestinationScope, readMore: (fields: Fields) => Partial<WeightedDestination> = () => ({})): WeightedDestination[] | undefined {
  const entries = parent.list('route');
  if (entries.length === 0) return undefined;
  const destinations = entries.flatMap((fields): WeightedDestination[] => {
    const destination = readDestination(fields, scope);
    const weight = fields.integer('weight', { max: 2 ** 31 - 1 });
    const more = readMore(fields);
    fields.finish();
    // A single destination gets everything, whatever its weight says.
    return destination ? [{ ...destination, ...more, weight: entries.length === 1 ? weight || 1 : (weight ?? 0) }] : [];
  });
  const total = destinations.reduce((sum, { weight }) => sum + weight, 0);
  if (destinations.length > 0 && total === 0) parent.error('route', 'the weights sum to 0: no request would go anywhere');
  if (total > 2 ** 32 - 1) parent.error('route', `the weights sum to ${total}, more than 4294967295`);
  return destinations.filter(({ weight }) => weight > 0);
}

function readDestination(parent: Fields, scope: DestinationScope): Destination | undefined {
  const fields = parent.object('destination');
  if (!fields) parent.error('destination', 'is required');
  return fields && readTarget(fields, scope);
}

function readTarget(fields: Fields, { namespace, context }: DestinationScope): Destination {
  const host = fields.requiredString('host');
  const subset = fields.string('subset') ?? '';
  const port = fields.object('port');
  const number = port?.port('number');
  port?.finish();
  fields.finish();
  const problem = host && (host.includes('*') ? 'a destination cannot be a wildcard' : hostProblem(host));
  if (problem) fields.error('host', problem);
  return { host: resolveHost(host, namespace, context), subset, ...(number !== undefined && { port: number }) };
}

export function readMirrors(parent: Fields, scope: DestinationScope): Mirror[] {
  parent.exclusive('mirror', 'mirrors');
  const mirrors: Mirror[] = [];
  const single = parent.object('mirror');
  const value = parent.object('mirrorPercentage');
  const percent = value ? readPercent(value) : parent.number('mirrorPercent', { min: 0, max: 100 });
  if (single) mirrors.push({ ...readTarget(single, scope), percent: percent ?? 100 });
  else if (percent !== undefined) parent.warn(value ? 'mirrorPercentage' : 'mirrorPercent', 'has no effect without mirror');
  for (const fields of parent.list('mirrors')) {
    const destination = readDestination(fields, scope);
    const share = fields.object('percentage');
    fields.finish();
    if (destination) mirrors.push({ ...destination, percent: share ? readPercent(share) : 100 });
  }
  return mirrors.filter(({ percent: share }) => share > 0);
}

export function readPercent(fields: Fields): number {
  const value = fields.number('value', { min: 0, max: 100 });
  fields.finish();
  return value ?? 0;
}
