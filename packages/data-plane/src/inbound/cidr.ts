import { BlockList, isIPv6 } from 'node:net';

/** A test for addresses in a range. Families never match each other: a BlockList finds every IPv4 address in `::/0`. */
export function compileCidr({ address: prefix, prefixLength }: { address: string; prefixLength: number }): (address: string) => boolean {
  const family = isIPv6(prefix) ? 'ipv6' : 'ipv4';
  const block = new BlockList();
  block.addSubnet(prefix, prefixLength, family);
  return (address) => isIPv6(address) === (family === 'ipv6') && block.check(address, family);
}
