// core.v3.GrpcService: a service that a filter calls on a cluster of the mesh.
import { GrpcService_EnvoyGrpcSchema, GrpcServiceSchema, type GrpcService } from '@weft/xds-api/core';
import { join, knownFields, type Report } from './report.js';
import { durationMs } from './value.js';

export interface GrpcServiceConfig {
  cluster: string;
  timeoutMs?: number;
  /** Metadata of every call, names in lower case. */
  metadata: readonly (readonly [string, string])[];
}

const fields = knownFields(GrpcServiceSchema, ['envoy_grpc', 'timeout', 'initial_metadata'], [], ['google_grpc']);
// `:authority` is the cluster's name, as in Envoy by default.
const envoyFields = knownFields(GrpcService_EnvoyGrpcSchema, ['cluster_name']);

/** Undefined where it names no cluster, which is reported. */
export function decodeGrpcService(message: GrpcService | undefined, path: string, report: Report): GrpcServiceConfig | undefined {
  if (!message) {
    report.add(path, 'is required');
    return undefined;
  }
  report.check(fields, message, path);
  const timeoutMs = durationMs(message.timeout, join(path, 'timeout'), report);
  const specifier = message.targetSpecifier;
  if (specifier.case !== 'envoyGrpc') {
    report.add(join(path, specifier.case === 'googleGrpc' ? 'google_grpc' : 'envoy_grpc'), specifier.case ? 'not supported: name a cluster (envoy_grpc)' : 'is required');
    return undefined;
  }
  report.check(envoyFields, specifier.value, join(path, 'envoy_grpc'));
  if (specifier.value.clusterName === '') report.add(join(path, 'envoy_grpc.cluster_name'), 'must not be empty');
  return { cluster: specifier.value.clusterName, ...(timeoutMs !== undefined && { timeoutMs }), metadata: message.initialMetadata.map(({ key, value }) => [key.toLowerCase(), value] as const) };
}
