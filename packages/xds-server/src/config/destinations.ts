import type { ConfigObject } from './config-object.js';
import type { Destination } from '../model/route-rule.js';

/** Where a VirtualService sends requests and connections, by field path as written: the model leaves out what has no weight. */
export function destinationsOf(object: ConfigObject, clusterDomain: string): (Destination & { path: string })[] {
  const found: (Destination & { path: string })[] = [];
  const add = (value: unknown, path: string) => {
    const host = text(field(value, 'host')).toLowerCase().replace(/\.$/, '');
    const port = field(field(value, 'port'), 'number');
    if (host === '') return;
    const full = host.includes('.') ? host : `${host}.${object.metadata.namespace}.svc.${clusterDomain}`;
    found.push({ host: full, subset: text(field(value, 'subset')), path, ...(typeof port === 'number' && { port }) });
  };
  list(field(field(object.body, 'spec'), 'http')).forEach((route, at) => {
    const path = `spec.http[${at}]`;
    for (const name of ['route', 'mirrors']) {
      list(field(route, name)).forEach((entry, index) => add(field(entry, 'destination'), `${path}.${name}[${index}].destination`));
    }
    add(field(route, 'mirror'), `${path}.mirror`);
  });
  for (const kind of ['tcp', 'tls']) {
    list(field(field(object.body, 'spec'), kind)).forEach((route, at) =>
      list(field(route, 'route')).forEach((entry, index) => add(field(entry, 'destination'), `spec.${kind}[${at}].route[${index}].destination`)));
  }
  return found;
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
