// request_mirror_policies, of routes and of the levels above them.
import { HeaderMutationSchema, type HeaderMutation } from '@weft/xds-api/filter-headers';
import { RouteAction_RequestMirrorPolicySchema, type RouteAction_RequestMirrorPolicy } from '@weft/xds-api/route';
import { decodeHeaderMutations } from './header-mutation.js';
import { join, knownFields, type Report } from './report.js';
import type { HeaderMutationConfig, MirrorConfig } from './route-config.js';
import { runtimeFraction } from './value.js';

const mirrorFields = knownFields(RouteAction_RequestMirrorPolicySchema, ['cluster', 'cluster_header', 'runtime_fraction', 'disable_shadow_host_suffix_append', 'host_rewrite_literal', 'request_headers_mutations'], ['trace_sampled']);
const mutationFields = knownFields(HeaderMutationSchema, ['remove', 'append']);

export function decodeMirrors(policies: readonly RouteAction_RequestMirrorPolicy[], path: string, report: Report): MirrorConfig[] {
  return policies.map((policy, i) => {
    const at = `${path}[${i}]`;
    report.check(mirrorFields, policy, at);
    if ((policy.cluster === '') === (policy.clusterHeader === '')) report.add(at, 'one of cluster, cluster_header is required');
    const part = runtimeFraction(policy.runtimeFraction, join(at, 'runtime_fraction'), report);
    return {
      cluster: policy.cluster,
      ...(policy.clusterHeader !== '' && { clusterHeader: policy.clusterHeader.toLowerCase() }),
      ...(part && { fraction: part }),
      ...(policy.hostRewriteLiteral !== '' && { hostRewrite: policy.hostRewriteLiteral }),
      ...(policy.disableShadowHostSuffixAppend && { hostSuffix: false }),
      ...(policy.requestHeadersMutations.length > 0 && { mutations: policy.requestHeadersMutations.map((mutation, j) => decodeMutation(mutation, `${at}.request_headers_mutations[${j}]`, report)) }),
    };
  });
}

function decodeMutation(mutation: HeaderMutation, path: string, report: Report): HeaderMutationConfig {
  report.check(mutationFields, mutation, path);
  const { action } = mutation;
  if (action.case === undefined) report.add(path, 'one of remove, append is required');
  const fields = { requestHeadersToAdd: action.case === 'append' ? [action.value] : [], requestHeadersToRemove: action.case === 'remove' ? [action.value] : [], responseHeadersToAdd: [], responseHeadersToRemove: [] };
  return decodeHeaderMutations(fields, path, report).request;
}
