// envoy.filters.http.rbac: who may call what. Shadow rules only count and leave their result in the dynamic metadata.
import { fromBinary } from '@weft/xds-api/protobuf';
import { typeUrl } from '@weft/xds-api';
import { RBACFilterSchema, RBACPerRouteSchema, type RBACFilter } from '@weft/xds-api/filter-rbac';
import { knownFields, Report } from '../../resource/report.js';
import type { LocalReply } from '../../stream/local-reply.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import type { Counter } from '../../telemetry/stats.js';
import type { FilterContext, HttpFilter, HttpFilterFactory } from '../http-filter.js';
import { RbacEngine, type Verdict } from '../rbac/engine.js';
import { decodeRbac } from '../rbac/policy.js';

export interface RbacFilterConfig {
  /** Absent: everything is allowed. Present without policies: an ALLOW that nothing matches, which denies everything. */
  rules?: RbacEngine;
  shadowRules?: RbacEngine;
  statPrefix: string;
  shadowStatPrefix: string;
}

const fields = knownFields(RBACFilterSchema, ['rules', 'rules_stat_prefix', 'shadow_rules', 'shadow_rules_stat_prefix'], ['track_per_rule_stats']);
const perRouteFields = knownFields(RBACPerRouteSchema, ['rbac']);
const filterName = 'envoy.filters.http.rbac';

/** `null` as override: no RBAC on this route. */
export const rbacFilter: HttpFilterFactory<RbacFilterConfig, RbacFilterConfig | null> = {
  name: filterName,
  typeUrls: [typeUrl(RBACFilterSchema), typeUrl(RBACPerRouteSchema)],
messages: [RBACFilterSchema, RBACPerRouteSchema],
  sides: ['server'],
  parse: (_typeUrl, value) => parse(fromBinary(RBACFilterSchema, value)),
  parseOverride(_typeUrl, value) {
    const message = fromBinary(RBACPerRouteSchema, value);
    const report = new Report();
    report.check(perRouteFields, message, '');
    report.finish('RBACPerRoute');
    return message.rbac ? parse(message.rbac, 'rbac') : null;
  },
  create: (context) => new RbacFilter(context),
};

function parse(message: RBACFilter, path = ''): RbacFilterConfig {
  const report = new Report();
  report.check(fields, message, path);
  const at = (name: string) => (path ? `${path}.${name}` : name);
  const engine = (rules: RBACFilter['rules'], name: string) => {
    if (!rules) return undefined;
    const config = decodeRbac(rules, at(name), report);
    return report.problems.length === 0 ? report.attempt(at(name), () => new RbacEngine(config)) : undefined;
  };
  const rules = engine(message.rules, 'rules');
  const shadowRules = engine(message.shadowRules, 'shadow_rules');
  report.finish('RBAC');
  return { ...(rules && { rules }), ...(shadowRules && { shadowRules }), statPrefix: message.rulesStatPrefix, shadowStatPrefix: message.shadowRulesStatPrefix };
}

class RbacFilter implements HttpFilter<RbacFilterConfig, RbacFilterConfig | null> {
  readonly #context: FilterContext;

  constructor(context: FilterContext) {
    this.#context = context;
  }

  forRoute(config: RbacFilterConfig, override: RbacFilterConfig | null | undefined) {
    const effective = override === undefined ? config : override;
    if (effective === null || (!effective.rules && !effective.shadowRules)) return undefined;
    const { rules, shadowRules, statPrefix, shadowStatPrefix } = effective;
    const count = this.#counters(statPrefix);
    const countShadow = this.#counters(`${shadowStatPrefix}shadow_`);
    const shadowNotes = new Notes(({ allowed, policy }) => ({ [`${shadowStatPrefix}shadow_engine_result`]: allowed ? 'allowed' : 'denied', ...(policy !== undefined && { [`${shadowStatPrefix}shadow_effective_policy_id`]: policy }) }));
    const notes = new Notes(({ allowed, policy }) => ({ [`${statPrefix}enforced_engine_result`]: allowed ? 'allowed' : 'denied', ...(policy !== undefined && { [`${statPrefix}enforced_effective_policy_id`]: policy }) }));
    const logNotes = new Notes(({ policy }) => ({ access_log_hint: policy !== undefined }), 'envoy.common');
    const streamFilter = {
      decodeHeaders(head: Parameters<RbacEngine['evaluate']>[0], info: StreamInfo): LocalReply | undefined {
        if (shadowRules) {
          const verdict = shadowRules.evaluate(head, info);
          countShadow(verdict.allowed);
          shadowNotes.add(info, verdict);
        }
        if (!rules) return undefined;
        const verdict = rules.evaluate(head, info);
        if (rules.action === 'log') {
          logNotes.add(info, verdict);
          return undefined;
        }
        const { allowed, policy } = verdict;
        count(allowed);
        notes.add(info, verdict);
        return allowed ? undefined : { status: 403, body: 'RBAC: access denied', details: `rbac_access_denied_matched_policy[${policy ?? 'none'}]` };
      },
    };
    // Stateless, so one object serves every request.
    return () => streamFilter;
  }

  #counters(prefix: string): (allowed: boolean) => void {
    const { stats } = this.#context;
    if (!stats) return () => {};
    const counter = (result: string): Counter => stats.counter({ name: `envoy_http_rbac_${prefix.replace(/[^a-zA-Z0-9_]/g, '_')}${result}`, help: `Requests ${result} by RBAC`, labels: [] }).series();
    const allowedCounter = counter('allowed');
    const deniedCounter = counter('denied');
    return (allowed) => (allowed ? allowedCounter : deniedCounter).add();
  }
}

type Values = Readonly<Record<string, unknown>>;

/** What a verdict leaves in the dynamic metadata: written once per verdict and what was there before it. */
class Notes {
  readonly #of: (verdict: Verdict) => Values;
  readonly #namespace: string;
  readonly #known = new WeakMap<Verdict, WeakMap<Values, Values>>();

  constructor(of: (verdict: Verdict) => Values, namespace = filterName) {
    this.#of = of;
    this.#namespace = namespace;
  }

  add(info: StreamInfo, verdict: Verdict): void {
    info.metadata ??= new Map();
    const before = info.metadata.get(this.#namespace) ?? nothing;
    let known = this.#known.get(verdict);
    if (!known) this.#known.set(verdict, (known = new WeakMap()));
    let values = known.get(before);
    if (!values) known.set(before, (values = Object.freeze({ ...before, ...this.#of(verdict) })));
    info.metadata.set(this.#namespace, values);
  }
}

const nothing: Values = Object.freeze({});
