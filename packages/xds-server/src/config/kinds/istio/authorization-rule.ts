// One rule of an AuthorizationPolicy. What is not implemented must never allow more: an ALLOW rule that has it is
// dropped, in a DENY rule the field is dropped (it gets wider), CUSTOM denies anyway (contracts.md 5).
import { isIP } from 'node:net';
import type { Authorization, AuthorizationCondition, AuthorizationOperation, AuthorizationRule, AuthorizationSource } from '../../../model/authorization.js';
import type { Fields } from '../../fields.js';

export interface RuleScope {
  action: Authorization['action'];
  namespace: string;
}

/** Undefined where the rule is dropped. */
export function readAuthorizationRule(fields: Fields, scope: RuleScope): AuthorizationRule | undefined {
  const gaps = new Gaps(scope.action);
  const from = fields.list('from').map((entry) => {
    const source = entry.object('source');
    if (!source) entry.error('source', 'is required');
    const read = source && readSource(source, scope, gaps);
    entry.finish();
    return read;
  });
  const to = fields.list('to').map((entry) => {
    const operation = entry.object('operation');
    if (!operation) entry.error('operation', 'is required');
    const read = operation && readOperation(operation);
    entry.finish();
    return read;
  });
  const when = fields.list('when').flatMap((entry) => readCondition(entry, gaps) ?? []);
  fields.finish();
  if (gaps.drop) return undefined;
  // A source of which nothing is left matches everybody, and so the whole list does.
  return { from: from.every((source) => source !== undefined) ? from : [], to: to.filter((operation) => operation !== undefined), when };
}

/** Collects what the rule asks for and Weft cannot evaluate. */
class Gaps {
  drop = false;
  readonly #drops: boolean;

  constructor(action: Authorization['action']) {
    this.#drops = action === 'allow';
  }

  add(fields: Fields, name: string): void {
    this.drop ||= this.#drops;
    fields.warn(name, `is not implemented: ${this.#drops ? 'this rule allows nothing' : 'the rule applies whatever it says'}`);
  }
}

const sourceFields = ['principals', 'namespaces', 'ipBlocks'] as const;
const unimplementedSources = ['requestPrincipals', 'notRequestPrincipals', 'remoteIpBlocks', 'notRemoteIpBlocks', 'trustDomains', 'notTrustDomains'];

/** Undefined where only unimplemented fields were set. */
function readSource(fields: Fields, { namespace }: RuleScope, gaps: Gaps): AuthorizationSource | undefined {
  const missing = unimplementedSources.filter((name) => fields.has(name));
  for (const name of missing) gaps.add(fields, name);
  for (const name of ['serviceAccounts', 'notServiceAccounts']) {
    if (fields.has(name) && sourceFields.slice(0, 2).some((other) => fields.has(other) || fields.has(negated(other)))) fields.error(name, 'cannot stand beside principals or namespaces');
  }
  const accounts = (name: string) =>
    values(fields, name, false).map((account) => {
      if (account.includes('*') || account.split('/').length > 2) fields.error(name, `${JSON.stringify(account)} must be NAMESPACE/ACCOUNT or ACCOUNT, without wildcards`);
      return account.includes('/') ? account : `${namespace}/${account}`;
    });
  const principals = (name: string) => {
    const list = values(fields, name);
    // It would never match, which in a DENY rule denies nobody.
    for (const principal of list) if (principal.startsWith('spiffe://')) fields.error(name, `${principal}: write it without spiffe://`);
    return list;
  };
  const source: AuthorizationSource = {
    principals: principals('principals'),
    notPrincipals: principals('notPrincipals'),
    namespaces: values(fields, 'namespaces'),
    notNamespaces: values(fields, 'notNamespaces'),
    serviceAccounts: accounts('serviceAccounts'),
    notServiceAccounts: accounts('notServiceAccounts'),
    ipBlocks: blocks(fields, 'ipBlocks'),
    notIpBlocks: blocks(fields, 'notIpBlocks'),
  };
  fields.finish();
  const empty = Object.values(source).every((list) => (list as readonly string[]).length === 0);
  if (empty && missing.length === 0) fields.report.error(fields.path, 'is empty: it must say who');
  return empty ? undefined : source;
}

function readOperation(fields: Fields): AuthorizationOperation {
  const ports = (name: string) =>
    values(fields, name, false).map((port) => {
      if (!/^[1-9]\d{0,4}$/.test(port) || Number(port) > 65535) fields.error(name, `${JSON.stringify(port)} is not a port number`);
      return Number(port);
    });
  const operation: AuthorizationOperation = {
    hosts: values(fields, 'hosts'),
    notHosts: values(fields, 'notHosts'),
    ports: ports('ports'),
    notPorts: ports('notPorts'),
    methods: values(fields, 'methods'),
    notMethods: values(fields, 'notMethods'),
    paths: paths(fields, 'paths'),
    notPaths: paths(fields, 'notPaths'),
  };
  fields.finish();
  if (Object.values(operation).every((list) => (list as readonly unknown[]).length === 0)) fields.report.error(fields.path, 'is empty: it must say what');
  return operation;
}

const conditionKeys = ['source.ip', 'source.namespace', 'source.principal', 'source.serviceAccount', 'destination.ip', 'destination.port', 'connection.sni'];
const unimplementedKeys = /^(remote\.ip|source\.trustDomain|request\.auth\.(principal|audiences|presenter|claims(\[[^\]]+\])+)|experimental\.envoy\.filters\..+)$/;

function readCondition(fields: Fields, gaps: Gaps): AuthorizationCondition | undefined {
  const key = fields.requiredString('key');
  const isAddress = key === 'source.ip' || key === 'destination.ip';
  const read = isAddress ? blocks : values;
  const condition = { key, values: read(fields, 'values'), notValues: read(fields, 'notValues') };
  fields.finish();
  if (unimplementedKeys.test(key)) {
    gaps.add(fields, 'key');
    return undefined;
  }
  if (key && !conditionKeys.includes(key) && !/^request\.headers\[[^\]\s]+\]$/.test(key)) fields.error('key', `${JSON.stringify(key)} is not a condition`);
  if (condition.values.length + condition.notValues.length === 0) fields.error('values', 'one of values and notValues is required');
  return condition;
}

function negated(name: string): string {
  return `not${name[0]!.toUpperCase()}${name.slice(1)}`;
}

/** Exact, `abc*`, `*abc` or `*`: a star elsewhere would be taken as a character by every client, which nobody means. */
function values(fields: Fields, name: string, wildcards = true): string[] {
  const list = fields.strings(name);
  list.forEach((value, at) => {
    const place = `${fields.at(name)}[${at}]`;
    if (value === '') fields.report.error(place, 'must not be empty');
    else if (wildcards && value !== '*' && value.replace(/^\*|\*$/, '').includes('*')) fields.report.error(place, `${JSON.stringify(value)}: * may only be the first or the last character`);
  });
  if (fields.has(name) && list.length === 0) fields.error(name, 'must not be an empty list');
  return list;
}

function paths(fields: Fields, name: string): string[] {
  const list = fields.strings(name);
  const plain = list.filter((path) => !path.includes('{'));
  if (plain.length === list.length) return values(fields, name);
  list.forEach((path, at) => {
    const problem = path.includes('{') ? templateProblem(path) : undefined;
    if (problem) fields.report.error(`${fields.at(name)}[${at}]`, `${JSON.stringify(path)}: ${problem}`);
  });
  return list;
}

/** `{*}` is one segment, `{**}` any number, at the end; nothing else may stand in braces or carry a star. */
function templateProblem(path: string): string | undefined {
  if (!path.startsWith('/')) return 'a template starts with /';
  const segments = path.slice(1).split('/');
  if (segments.slice(0, -1).includes('{**}')) return '{**} may only be the last segment';
  if (segments.some((segment) => segment !== '{*}' && segment !== '{**}' && /[{}*]/.test(segment))) return 'a template knows only the segments {*} and {**}';
  return undefined;
}

function blocks(fields: Fields, name: string): string[] {
  const list = values(fields, name, false);
  list.forEach((block, at) => {
    const [address = '', bits, more] = block.split('/');
    const family = isIP(address);
    const valid = family !== 0 && more === undefined && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)));
    if (!valid) fields.report.error(`${fields.at(name)}[${at}]`, `${JSON.stringify(block)} is neither an address nor a range`);
  });
  return list;
}
