// What several kinds share: identity of model objects, hosts, visibility, selectors.
import type { ModelBase } from '../model/model-object.js';
import { describeObject, type ConfigObject } from './config-object.js';
import type { NormalizeContext } from './config-kind.js';
import type { Fields } from './fields.js';
import { joinPath } from './field-path.js';

export function modelBase(object: ConfigObject): ModelBase {
  const { namespace, name, creationTimestamp } = object.metadata;
  return { key: `${object.kind}/${namespace}/${name}`, namespace, name, origin: describeObject(object), createdAt: creationTimestamp ?? 0 };
}

/** A name without dots means the Kubernetes service of the object's own namespace, as in Istio; never the client's. */
export function resolveHost(host: string, namespace: string, context: NormalizeContext): string {
  const name = host.toLowerCase().replace(/\.$/, '');
  return name.includes('.') || name === '*' || name === '' ? name : `${name}.${namespace}.svc.${context.clusterDomain}`;
}

/** Why a text is no host (a DNS name, perhaps with a leading wildcard label), or undefined. */
export function hostProblem(host: string): string | undefined {
  if (host === '') return 'must not be empty';
  const name = host.replace(/^\*\./, '').replace(/\.$/, '');
  if (host.length > 255) return 'is longer than 255 characters';
  if (!/^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*$/.test(name)) {
    return `${JSON.stringify(host)} is not a DNS name (a wildcard may only be the whole first label)`;
  }
  return undefined;
}

/** `.` is the object's namespace, `*` and nothing at all are everybody, `~` is nobody. */
export function readExportTo(fields: Fields, namespace: string): readonly string[] {
  const given = fields.strings('exportTo');
  if (given.length === 0) return ['*'];
  given.forEach((value, at) => {
    const place = joinPath(fields.at('exportTo'), at);
    if (given.length > 1 && (value === '*' || value === '~')) fields.report.error(place, `${value} cannot stand beside others`);
    else if (!/^([*.~]|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$/.test(value)) fields.report.error(place, `${JSON.stringify(value)} is neither a namespace nor ., * or ~`);
  });
  return given.filter((value) => value !== '~').map((value) => (value === '.' ? namespace : value));
}

/** `selector.matchLabels` and its like; absent or empty selects everything. */
export function readMatchLabels(fields: Fields, name: string): Readonly<Record<string, string>> | undefined {
  const selector = fields.object(name);
  if (!selector) return undefined;
  const labels = selector.labels('matchLabels');
  selector.finish();
  for (const key in labels) {
    if (key === '' || key.includes('*') || labels[key]!.includes('*')) selector.error('matchLabels', 'labels are compared exactly: no wildcards, no empty keys');
  }
  return Object.keys(labels).length > 0 ? labels : undefined;
}
