import type { ModelBase } from './model-base.js';

/** An AuthorizationPolicy. Unimplemented parts are already made safe by the kind: see contracts.md 5. */
export interface Authorization extends ModelBase {
  type: 'authorization';
  action: 'allow' | 'deny' | 'custom' | 'audit';
  /** Evaluated and counted, never enforced. */
  dryRun: boolean;
  /** Absent: every workload of the namespace (of the mesh, in the root namespace). */
  selector?: Readonly<Record<string, string>>;
  /** No rules never match: ALLOW without rules denies everything. */
  rules: readonly AuthorizationRule[];
  /** CUSTOM's provider. Weft has none yet: a CUSTOM policy denies everything it selects. */
  provider?: string;
}

/** Any of `from`, and any of `to`, and all of `when`; an empty list does not restrict. */
export interface AuthorizationRule {
  from: readonly AuthorizationSource[];
  to: readonly AuthorizationOperation[];
  when: readonly AuthorizationCondition[];
}

/** All given fields must match; inside one, any value. Values: exact, `abc*`, `*abc`, `*`. */
export interface AuthorizationSource {
  /** `td/ns/NS/sa/SA`, without the scheme. */
  principals: readonly string[];
  notPrincipals: readonly string[];
  namespaces: readonly string[];
  notNamespaces: readonly string[];
  /** `namespace/account`. */
  serviceAccounts: readonly string[];
  notServiceAccounts: readonly string[];
  ipBlocks: readonly string[];
  notIpBlocks: readonly string[];
}

export interface AuthorizationOperation {
  hosts: readonly string[];
  notHosts: readonly string[];
  ports: readonly number[];
  notPorts: readonly number[];
  methods: readonly string[];
  notMethods: readonly string[];
  /** May be a template with `{*}` and `{**}`. */
  paths: readonly string[];
  notPaths: readonly string[];
}

export interface AuthorizationCondition {
  /** `request.headers[x]`, `source.ip`, `source.namespace`, `source.principal`, `destination.port`, … */
  key: string;
  values: readonly string[];
  notValues: readonly string[];
}
