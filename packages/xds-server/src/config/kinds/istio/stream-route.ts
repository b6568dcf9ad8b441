// tcp[] and tls[] of a VirtualService: where connections go whose bytes nobody looks at.
import { isIP } from 'node:net';
import type { StreamMatch, StreamRoute } from '../../../model/route-rule.js';
import { joinPath } from '../../field-path.js';
import type { Fields } from '../../fields.js';
import { readDestinations, type DestinationScope } from './http-destination.js';

/** Undefined where the route is only for gateways. */
export function readStreamRoute(fields: Fields, kind: 'tcp' | 'tls', hosts: readonly string[], scope: DestinationScope): StreamRoute | undefined {
  const entries = fields.list('match');
  if (kind === 'tls' && entries.length === 0) fields.error('match', 'is required');
  const matches = entries.flatMap((entry) => readMatch(entry, kind, hosts) ?? []);
  const destinations = readDestinations(fields, scope);
  if (!destinations) fields.error('route', 'is required');
  fields.finish();
  // A route whose every match was for gateways would otherwise match everything.
  if (!destinations || (entries.length > 0 && matches.length === 0)) return undefined;
  return { matches, destinations };
}

function readMatch(fields: Fields, kind: 'tcp' | 'tls', hosts: readonly string[]): StreamMatch | undefined {
  const gateways = fields.strings('gateways');
  const destinationSubnets = fields.strings('destinationSubnets');
  destinationSubnets.forEach((subnet, at) => {
    const [address = '', length, ...rest] = subnet.split('/');
    const longest = isIP(address) === 6 ? 128 : 32;
    if (isIP(address) === 0 || rest.length > 0 || (length !== undefined && !(/^\d{1,3}$/.test(length) && Number(length) <= longest))) fields.report.error(joinPath(fields.at('destinationSubnets'), at), `${subnet} is no subnet`);
  });
  const port = fields.port('port');
  const sourceNamespace = fields.string('sourceNamespace');
  const sniHosts = kind === 'tls' ? readServerNames(fields, hosts) : [];
  const match: StreamMatch = {
    sniHosts,
    destinationSubnets,
    sourceLabels: fields.labels('sourceLabels'),
    ...(port !== undefined && { port }),
    ...(sourceNamespace && { sourceNamespace }),
  };
  fields.finish();
  return gateways.length === 0 || gateways.includes('mesh') ? match : undefined;
}

/** As in Istio, each has to be one of the rule's hosts, or below a wildcard of them. */
function readServerNames(fields: Fields, hosts: readonly string[]): string[] {
  const names = fields.strings('sniHosts').map((name) => name.toLowerCase());
  if (names.length === 0) fields.error('sniHosts', 'is required');
  names.forEach((name, at) => {
    const covered = hosts.some((host) => host === '*' || host === name || host.startsWith(`${name}.`) || (host.startsWith('*.') && name.endsWith(host.slice(1))));
    if (!covered) fields.report.error(joinPath(fields.at('sniHosts'), at), `${name} is none of the hosts`);
  });
  return names;
}
