// docs/xds-support.md is what operators read, the decoders' lists are what is true: they must say the same. The table of messages is
// made from the lists: after a change of a decoder, WEFT_UPDATE_GOLDEN=1, and read the difference.
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { allTypes } from '@weft/xds-api/registry';
import './decoders.js';
import { knownFieldLists } from './report.js';

const file = new URL('../../../../docs/xds-support.md', import.meta.url);
const [before = '', afterHeading = ''] = readFileSync(file, 'utf8').split(/(?<=## Messages\n\n)/);
const written = afterHeading.slice(0, afterHeading.indexOf('\n\n## '));
const after = afterHeading.slice(written.length);

function cell(names: readonly string[]): string {
  return names.length === 0 ? '–' : names.toSorted().map((name) => `\`${name}\``).join(', ');
}

function table(): string {
  const rows = knownFieldLists.map(({ message, reads, ignores, rejects }) => `| \`${message}\` | ${cell(reads)} | ${cell(ignores)} | ${cell(rejects)} |`);
  return ['| message | supported | accepted, without effect | refused |', '|---|---|---|---|', ...rows.toSorted()].join('\n');
}

test('the table of docs/xds-support.md holds every message that is decoded, with all its fields', () => {
  if (process.env['WEFT_UPDATE_GOLDEN']) writeFileSync(file, before + table() + after);
  else expect(written).toBe(table());
});

test('every field that is accepted without effect has its reason below the table', () => {
  const reasons = after.slice(after.indexOf('## Accepted, without effect'));
  const unexplained = knownFieldLists.flatMap(({ message, ignores }) => ignores.filter((name) => !reasons.includes(`\`${name}\``)).map((name) => `${message}.${name}`));
  expect(unexplained).toEqual([]);
});

// Small messages that a decoder reads with all their fields, so that nothing of them can be passed over.
const readWhole = new Set([
  'envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig', 'envoy.config.cluster.v3.Cluster.CustomClusterType', 'envoy.config.cluster.v3.Cluster.EdsClusterConfig', 'envoy.config.cluster.v3.Cluster.SlowStartConfig',
  'envoy.config.cluster.v3.LoadBalancingPolicy', 'envoy.config.core.v3.Address', 'envoy.config.core.v3.DataSource', 'envoy.config.core.v3.HealthCheck.Payload', 'envoy.config.core.v3.HealthStatusSet', 'envoy.config.core.v3.Locality',
  'envoy.config.core.v3.Metadata', 'envoy.config.core.v3.RuntimeDouble', 'envoy.config.core.v3.RuntimeFractionalPercent', 'envoy.config.core.v3.RuntimePercent', 'envoy.config.core.v3.RuntimeUInt32', 'envoy.config.core.v3.TransportSocket',
  'envoy.config.core.v3.TypedExtensionConfig', 'envoy.config.listener.v3.ApiListener', 'envoy.config.rbac.v3.Permission.Set', 'envoy.config.rbac.v3.Principal.Set', 'envoy.config.route.v3.NonForwardingAction',
  'envoy.config.route.v3.RateLimit.Action.DestinationCluster', 'envoy.config.route.v3.RateLimit.Action.RemoteAddress', 'envoy.config.route.v3.RateLimit.Action.SourceCluster', 'envoy.config.route.v3.RateLimit.Override.DynamicMetadata',
  'envoy.config.route.v3.RetryPolicy.RetryHostPredicate', 'envoy.config.route.v3.RetryPolicy.RetryPriority', 'envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties', 'envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute',
  'envoy.config.route.v3.RouteAction.HashPolicy.FilterState', 'envoy.config.route.v3.RouteAction.HashPolicy.Header', 'envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter', 'envoy.config.route.v3.RouteMatch.ConnectMatcher',
  'envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions', 'envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay', 'envoy.extensions.filters.common.fault.v3.FaultRateLimit.FixedLimit',
  'envoy.extensions.filters.common.fault.v3.FaultRateLimit.HeaderLimit', 'envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort', 'envoy.extensions.filters.network.http_connection_manager.v3.Rds',
  'envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher', 'envoy.type.matcher.v3.MetadataMatcher.PathSegment', 'envoy.type.matcher.v3.RegexMatchAndSubstitute', 'envoy.type.matcher.v3.ValueMatcher.NullMatch',
  'envoy.type.metadata.v3.MetadataKey', 'envoy.type.v3.DoubleRange', 'envoy.type.v3.FractionalPercent', 'envoy.type.v3.HashPolicy', 'envoy.type.v3.HttpStatus', 'envoy.type.v3.Int32Range', 'envoy.type.v3.Int64Range', 'envoy.type.v3.Percent',
  'xds.core.v3.TypedExtensionConfig', 'envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig', 'envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig', 'envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig',
  'envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig', 'envoy.extensions.load_balancing_policies.subset.v3.Subset.LbSubsetSelector', 'envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost.OverrideHostSource',
]);

test('every message that is read within another has a list, or is read whole', () => {
  const listed = new Set(knownFieldLists.map(({ message }) => message));
  const found = new Set<string>();
  for (const { message, reads } of knownFieldLists) {
    for (const { name, message: inner } of allTypes().getMessage(message)?.fields ?? []) {
      if (inner && reads.includes(name) && !listed.has(inner.typeName) && !inner.typeName.startsWith('google.')) found.add(inner.typeName);
    }
  }
  expect([...found].filter((name) => !readWhole.has(name))).toEqual([]);
});
