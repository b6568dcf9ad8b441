// Hosts and wildcard hosts (`*.example.com`), most specific first, as Istio and Envoy order them.

/** The host and every wildcard that covers it, most specific first: `a.b.c`, `*.b.c`, `*.c`, `*`. */
export function* hostPatterns(host: string): Generator<string> {
  yield host;
  let rest = host.startsWith('*.') ? host.slice(2) : host;
  for (let dot = rest.indexOf('.'); dot >= 0; dot = rest.indexOf('.')) {
    rest = rest.slice(dot + 1);
    yield `*.${rest}`;
  }
  if (host !== '*') yield '*';
}

/** Lower case and without the trailing dot of an absolute name, as hosts are kept in the model. */
export function normalizeHost(host: string): string {
  return host.toLowerCase().replace(/\.$/, '');
}

export function exportedTo(exportTo: readonly string[], namespace: string): boolean {
  return exportTo.includes('*') || exportTo.includes(namespace);
}
