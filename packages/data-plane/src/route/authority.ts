// strip_any_host_port, strip_matching_host_port and strip_trailing_host_dot of a listener: the authority that routes, filters and the other side see.

export interface AuthorityOptions {
  /** `matching`: only the port of the listener. */
  stripPort?: 'any' | 'matching';
  stripDot?: true;
}

/** `port`: of the listener, as far as it is known. */
export function strippedAuthority(authority: string, { stripPort, stripDot }: AuthorityOptions, port: number | undefined): string {
  const [, host = '', digits] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(authority) ?? [];
  if (host === '') return authority;
  const name = stripDot && host.endsWith('.') ? host.slice(0, -1) : host;
  const strip = stripPort === 'any' || (stripPort === 'matching' && Number(digits) === port);
  return digits === undefined || strip ? name : `${name}:${digits}`;
}
