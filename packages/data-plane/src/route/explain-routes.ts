// Why a request belongs to one virtual host and not to another, in words, for `weft explain`.
import type { RouteConfigurationConfig, RouteEntryConfig, VirtualHostConfig } from '../resource/route-config.js';
import { quoted } from './describe-matcher.js';
import { VirtualHostMatcher } from './virtual-host-matcher.js';

// A gateway's table has hundreds: who asks wants the ones that nearly matched, which stand first.
const mostListed = 20;

export function routeLabel({ name }: RouteEntryConfig, index: number): string {
  return name === '' ? `#${index}` : name;
}

export function explainVirtualHosts(config: RouteConfigurationConfig, authority: string, chosen: VirtualHostConfig | undefined, why: (line: string) => void): void {
  const others = config.virtualHosts.filter((virtualHost) => virtualHost !== chosen);
  const of = (virtualHost: VirtualHostConfig) => matchingDomain(config, virtualHost, authority);
  const near: string[] = [];
  const far: string[] = [];
  for (const virtualHost of others) {
    const domain = of(virtualHost);
    if (domain === undefined) far.push(`virtual host ${virtualHost.name}: domains ${virtualHost.domains.map(quoted).join(', ')}, the request has authority ${quoted(authority)}`);
    else near.push(`virtual host ${virtualHost.name}: domain ${quoted(domain)} matches, ${quoted(chosen ? (of(chosen) ?? '') : '')} of ${chosen?.name ?? ''} is more specific`);
  }
  const lines = [...near, ...far];
  for (const line of lines.slice(0, mostListed)) why(line);
  if (lines.length > mostListed) why(`and ${lines.length - mostListed} more virtual hosts`);
}

/** The domain of this virtual host that the authority would find if no other had one. */
function matchingDomain({ ignorePortInHostMatching }: RouteConfigurationConfig, { domains }: VirtualHostConfig, authority: string): string | undefined {
  const matcher = new VirtualHostMatcher<string>({ ignorePort: ignorePortInHostMatching });
  for (const domain of domains) matcher.add(domain, domain);
  return matcher.find(authority);
}
