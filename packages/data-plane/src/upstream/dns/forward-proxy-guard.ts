// Where a dynamic forward proxy may connect to. Callers name the host, so a name that leads into the process's own network would hand
// them whatever trusts that network (SSRF). Judged on the addresses a name has when it is dialled, not on the name.
import { BlockList, isIP } from 'node:net';
import type { EndpointPolicy } from '../../resource/endpoint-policy.js';

const internal = new BlockList();
for (const [network, prefix, family] of [
  ['0.0.0.0', 8, 'ipv4'], ['10.0.0.0', 8, 'ipv4'], ['100.64.0.0', 10, 'ipv4'], ['127.0.0.0', 8, 'ipv4'], ['169.254.0.0', 16, 'ipv4'], ['172.16.0.0', 12, 'ipv4'], ['192.0.0.0', 24, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'], ['198.18.0.0', 15, 'ipv4'], ['224.0.0.0', 4, 'ipv4'], ['240.0.0.0', 4, 'ipv4'],
  // IPv4 written as IPv6 in other ways than ::ffff:0:0/96 (which BlockList sees through) leads wherever a gateway takes it.
  ['::', 96, 'ipv6'], ['64:ff9b::', 96, 'ipv6'], ['64:ff9b:1::', 48, 'ipv6'], ['2002::', 16, 'ipv6'], ['fc00::', 7, 'ipv6'], ['fe80::', 10, 'ipv6'], ['fec0::', 10, 'ipv6'], ['ff00::', 8, 'ipv6'],
] as const) internal.addSubnet(network, prefix, family);

/**
 * Refuses addresses that are not public, but those in `allow` (addresses or CIDR ranges).
 * @throws {TypeError} where an entry of `allow` is neither.
 */
export function forwardProxyGuard(allow: readonly string[] = []): EndpointPolicy {
  const allowed = new BlockList();
  for (const entry of allow) {
    const [address = '', prefix] = entry.split('/');
    const family = isIP(address);
    const bits = prefix === undefined ? (family === 6 ? 128 : 32) : Number(prefix);
    if (family === 0 || !Number.isInteger(bits) || bits < 0 || bits > (family === 6 ? 128 : 32)) throw new TypeError(`forwardProxyAllow: ${JSON.stringify(entry)} is not an address or a CIDR range`);
    allowed.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4');
  }
  return (address) => {
    const family = isIP(address);
    if (family === 0) return 'is not an IP address';
    const version = family === 6 ? 'ipv6' : 'ipv4';
    if (!internal.check(address, version) || allowed.check(address, version)) return undefined;
    return 'is not a public address (option forwardProxyAllow)';
  };
}
