import { BlockList, isIP } from 'node:net';

/** Which endpoint addresses a control plane may send this process to. Undefined = allowed, else the reason against it. */
export type EndpointPolicy = (address: string) => string | undefined;

const never = new BlockList();
// Cloud metadata services live at link-local addresses and hand credentials to whoever asks; the others are no hosts.
for (const [network, prefix, family] of [
  ['0.0.0.0', 8, 'ipv4'], ['169.254.0.0', 16, 'ipv4'], ['224.0.0.0', 4, 'ipv4'], ['240.0.0.0', 4, 'ipv4'],
  ['::', 128, 'ipv6'], ['fe80::', 10, 'ipv6'], ['ff00::', 8, 'ipv6'], ['fd00:ec2::254', 128, 'ipv6'],
] as const) never.addSubnet(network, prefix, family);

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

export function isLoopback(address: string): boolean {
  const family = isIP(address);
  return family === 0 ? address === 'localhost' : loopback.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/**
 * Refuses what no mesh endpoint is, so that a hostile or careless control plane cannot use this process to reach the machine's own
 * services (security.md X7). Loopback is allowed where the control plane itself runs on this machine.
 */
export function endpointPolicy({ allowLoopback }: { allowLoopback: boolean }): EndpointPolicy {
  return (address) => {
    const family = isIP(address);
    if (family === 0) return undefined;
    const version = family === 6 ? 'ipv6' : 'ipv4';
    // BlockList looks through IPv4-mapped IPv6 addresses by itself.
    if (never.check(address, version)) return 'endpoints must not be link-local, multicast or unspecified addresses';
    if (!allowLoopback && loopback.check(address, version)) return 'loopback endpoints are not allowed (option allowLoopbackEndpoints)';
    return undefined;
  };
}
