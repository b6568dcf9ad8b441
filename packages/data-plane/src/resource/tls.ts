// Transport sockets and TLS contexts. Whatever narrows who is believed and is not implemented is refused: left aside, it would fail open.
import { ProxyProtocolConfig_Version, ProxyProtocolConfigSchema, type TransportSocket } from '@weft/xds-api/core';
import {
  CertificateProviderPluginInstanceSchema,
  CertificateValidationContextSchema,
  CommonTlsContext_CombinedCertificateValidationContextSchema,
  CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  ProxyProtocolUpstreamTransportSchema,
  RawBufferSchema,
  TlsCertificateSchema,
  TlsParameters_TlsProtocol,
  TlsParametersSchema,
  UpstreamTlsContextSchema,
  SubjectAltNameMatcher_SanType,
  type CertificateProviderPluginInstance,
  type CertificateValidationContext,
  type CommonTlsContext,
  type TlsCertificate,
} from '@weft/xds-api/tls';
import type { StringMatcherConfig } from './matcher-config.js';
import { decodeStringMatcher } from './matcher.js';
import { join, knownFields, type Report } from './report.js';
import type { CommonTlsConfig, DownstreamTlsConfig, ProxyProtocolVersion, UpstreamTlsConfig } from './tls-config.js';
import { typeNameOf, unpack } from './value.js';

// Session keys are never kept: resumption would skip the peer's verification (security.md 4.1).
const upstreamFields = knownFields(UpstreamTlsContextSchema, ['common_tls_context', 'sni', 'auto_host_sni', 'auto_sni_san_validation'], ['max_session_keys', 'enforce_rsa_key_usage']);
const downstreamFields = knownFields(DownstreamTlsContextSchema, ['common_tls_context', 'require_client_certificate'], ['disable_stateless_session_resumption', 'disable_stateful_session_resumption', 'session_timeout', 'full_scan_certs_on_sni_mismatch', 'prefer_client_ciphers']);
const commonFields = knownFields(CommonTlsContextSchema, ['tls_params', 'tls_certificates', 'tls_certificate_provider_instance', 'validation_context', 'combined_validation_context', 'alpn_protocols']);
const combinedFields = knownFields(CommonTlsContext_CombinedCertificateValidationContextSchema, ['default_validation_context']);
const validationFields = knownFields(CertificateValidationContextSchema, ['trusted_ca', 'ca_certificate_provider_instance', 'match_subject_alt_names', 'match_typed_subject_alt_names'], ['watched_directory', 'suppress_client_ca_list']);
const certificateFields = knownFields(TlsCertificateSchema, ['certificate_chain', 'private_key'], ['watched_directory']);
const parameterFields = knownFields(TlsParametersSchema, ['tls_minimum_protocol_version', 'tls_maximum_protocol_version'], ['cipher_suites']);
const proxyFields = knownFields(ProxyProtocolUpstreamTransportSchema, ['config', 'transport_socket']);
// No connection is passed on for somebody, so there are none of its TLVs to pass.
const proxyConfigFields = knownFields(ProxyProtocolConfigSchema, ['version'], ['pass_through_tlvs']);
const instanceFields = knownFields(CertificateProviderPluginInstanceSchema, ['instance_name'], ['certificate_name']);

/** Certificate provider instances that the bootstrap declares. */
export type CertificateProviders = ReadonlySet<string>;

/** A transport socket of clusters, with what may be around it. */
export function decodeUpstreamSocket(socket: TransportSocket | undefined, path: string, providers: CertificateProviders, report: Report): { tls?: UpstreamTlsConfig; proxyProtocol?: ProxyProtocolVersion } {
  const any = socket?.configType.case === 'typedConfig' ? socket.configType.value : undefined;
  if (!any || typeNameOf(any) !== ProxyProtocolUpstreamTransportSchema.typeName) {
    const tls = decodeUpstreamTls(socket, path, providers, report);
    return tls ? { tls } : {};
  }
  const typedPath = join(path, 'typed_config');
  const wrapper = unpack(any, ProxyProtocolUpstreamTransportSchema, typedPath, report);
  if (!wrapper) return {};
  report.check(proxyFields, wrapper, typedPath);
  if (wrapper.config) report.check(proxyConfigFields, wrapper.config, join(typedPath, 'config'));
  if (!wrapper.transportSocket) report.add(join(typedPath, 'transport_socket'), 'is required');
  const tls = decodeUpstreamTls(wrapper.transportSocket, join(typedPath, 'transport_socket'), providers, report);
  return { ...(tls && { tls }), proxyProtocol: wrapper.config?.version === ProxyProtocolConfig_Version.V2 ? 'v2' : 'v1' };
}

/** Undefined: plain text (no transport socket, or raw_buffer). */
function decodeUpstreamTls(socket: TransportSocket | undefined, path: string, providers: CertificateProviders, report: Report): UpstreamTlsConfig | undefined {
  const typedPath = join(path, 'typed_config');
  if (!isTls(socket, typedPath, report)) return undefined;
  const context = unpack(socket.configType.value, UpstreamTlsContextSchema, typedPath, report);
  if (!context) return undefined;
  report.check(upstreamFields, context, typedPath);
  const common = decodeCommon(context.commonTlsContext, join(typedPath, 'common_tls_context'), providers, report);
  // gRFC A29: a client without roots would believe anybody.
  if (common.rootProvider === undefined && common.trustedCaFile === undefined && common.trustedCaPem === undefined) {
    report.add(join(typedPath, 'common_tls_context.validation_context'), 'roots are required: ca_certificate_provider_instance or trusted_ca');
  }
  // An SVID names no hosts.
  if (context.autoSniSanValidation && common.rootProvider !== undefined) report.add(join(typedPath, 'auto_sni_san_validation'), 'needs trusted_ca: certificates of the mesh name workloads, not hosts');
  return { ...common, sni: context.sni, ...(context.autoHostSni && { hostSni: true as const }), ...(context.autoSniSanValidation && { verifySni: true as const }) };
}

/** Undefined: plain text. */
export function decodeDownstreamTls(socket: TransportSocket | undefined, path: string, providers: CertificateProviders, report: Report): DownstreamTlsConfig | undefined {
  const typedPath = join(path, 'typed_config');
  if (!isTls(socket, typedPath, report)) return undefined;
  const context = unpack(socket.configType.value, DownstreamTlsContextSchema, typedPath, report);
  if (!context) return undefined;
  report.check(downstreamFields, context, typedPath);
  const commonPath = join(typedPath, 'common_tls_context');
  const common = decodeCommon(context.commonTlsContext, commonPath, providers, report);
  const requireClientCertificate = context.requireClientCertificate === true;
  if (common.identityProvider === undefined && common.certificateFiles === undefined) {
    report.add(commonPath, 'a certificate is required: tls_certificate_provider_instance or tls_certificates');
  }
  if (requireClientCertificate && common.rootProvider === undefined && common.trustedCaFile === undefined && common.trustedCaPem === undefined) {
    report.add(join(typedPath, 'require_client_certificate'), 'needs roots in validation_context');
  }
  // Who may call is RBAC's question (gRFC A29 forbids SANs here, Go and C-core NACK them).
  if (common.subjectAltNames.length > 0) report.add(join(commonPath, 'validation_context.match_subject_alt_names'), 'not supported on servers; use RBAC principals');
  return { ...common, requireClientCertificate };
}

function isTls(socket: TransportSocket | undefined, path: string, report: Report): socket is TransportSocket & { configType: { case: 'typedConfig' } } {
  if (!socket) return false;
  if (socket.configType.case === 'typedConfig') return typeNameOf(socket.configType.value) !== RawBufferSchema.typeName;
  if (socket.name !== 'envoy.transport_sockets.raw_buffer') report.add(path, 'is required');
  return false;
}

function decodeCommon(context: CommonTlsContext | undefined, path: string, providers: CertificateProviders, report: Report): CommonTlsConfig {
  if (!context) {
    report.add(path, 'is required');
    return { subjectAltNames: [], alpn: [] };
  }
  report.check(commonFields, context, path);
  checkParameters(context, join(path, 'tls_params'), report);
  const identityProvider = decodeInstance(context.tlsCertificateProviderInstance, join(path, 'tls_certificate_provider_instance'), providers, report);
  const certificateFiles = decodeCertificates(context.tlsCertificates, join(path, 'tls_certificates'), report);
  const validation = decodeValidation(context.validationContextType, path, providers, report);
  return {
    ...(identityProvider !== undefined && { identityProvider }),
    ...(certificateFiles && { certificateFiles }),
    subjectAltNames: [],
    ...validation,
    alpn: context.alpnProtocols,
  };
}

// Weft speaks TLS 1.3 only, where cipher suites are not configured: all that a config may ask for is that 1.3 be allowed.
function checkParameters({ tlsParams }: CommonTlsContext, path: string, report: Report): void {
  if (!tlsParams) return;
  report.check(parameterFields, tlsParams, path);
  const { tlsMaximumProtocolVersion: maximum } = tlsParams;
  if (maximum !== TlsParameters_TlsProtocol.TLS_AUTO && maximum !== TlsParameters_TlsProtocol.TLSv1_3) {
    report.add(join(path, 'tls_maximum_protocol_version'), 'must allow TLS 1.3');
  }
}

function decodeInstance(instance: CertificateProviderPluginInstance | undefined, path: string, providers: CertificateProviders, report: Report): string | undefined {
  if (!instance) return undefined;
  report.check(instanceFields, instance, path);
  const { instanceName } = instance;
  if (!providers.has(instanceName)) report.add(join(path, 'instance_name'), `this process has no certificate provider ${JSON.stringify(instanceName)}`);
  return instanceName;
}

function decodeCertificates(certificates: readonly TlsCertificate[], path: string, report: Report): CommonTlsConfig['certificateFiles'] {
  const [certificate] = certificates;
  if (!certificate) return undefined;
  if (certificates.length > 1) report.add(path, 'more than one certificate is not supported');
  report.check(certificateFields, certificate, `${path}[0]`);
  const { certificateChain: chain, privateKey: key } = certificate;
  if (chain?.specifier.case !== 'filename' || key?.specifier.case !== 'filename') {
    report.add(`${path}[0]`, 'certificate_chain.filename and private_key.filename are required (keys are not taken over xDS)');
    return undefined;
  }
  return { chain: chain.specifier.value, privateKey: key.specifier.value };
}

type Validation = Pick<CommonTlsConfig, 'rootProvider' | 'trustedCaFile' | 'trustedCaPem'> & { subjectAltNames?: readonly StringMatcherConfig[] };

function decodeValidation(type: CommonTlsContext['validationContextType'], path: string, providers: CertificateProviders, report: Report): Validation {
  if (type.case === 'validationContext') return decodeValidationContext(type.value, join(path, 'validation_context'), providers, report);
  if (type.case === 'combinedValidationContext') {
    const combinedPath = join(path, 'combined_validation_context');
    report.check(combinedFields, type.value, combinedPath);
    const context = type.value.defaultValidationContext;
    if (context) return decodeValidationContext(context, join(combinedPath, 'default_validation_context'), providers, report);
    report.add(join(combinedPath, 'default_validation_context'), 'is required');
  }
  return {};
}

function decodeValidationContext(context: CertificateValidationContext, path: string, providers: CertificateProviders, report: Report): Validation {
  report.check(validationFields, context, path);
  const subjectAltNames = context.matchSubjectAltNames.map((matcher, i) => decodeStringMatcher(matcher, `${path}.match_subject_alt_names[${i}]`, report));
  context.matchTypedSubjectAltNames.forEach(({ sanType, matcher }, i) => {
    const at = `${path}.match_typed_subject_alt_names[${i}]`;
    // Names in a mesh are SPIFFE IDs, which are URIs; other kinds are never looked at, so asking for one must not pass.
    if (sanType !== SubjectAltNameMatcher_SanType.URI || !matcher) report.add(at, 'only san_type URI with a matcher is supported');
    else subjectAltNames.push(decodeStringMatcher(matcher, join(at, 'matcher'), report));
  });
  const rootProvider = decodeInstance(context.caCertificateProviderInstance, join(path, 'ca_certificate_provider_instance'), providers, report);
  return { ...(rootProvider !== undefined && { rootProvider }), ...decodeTrustedCa(context, join(path, 'trusted_ca'), report), subjectAltNames };
}

export function decodeTrustedCa({ trustedCa }: CertificateValidationContext, path: string, report: Report): { trustedCaFile?: string; trustedCaPem?: string } {
  if (!trustedCa) return {};
  const { specifier } = trustedCa;
  switch (specifier.case) {
    case 'filename':
      return { trustedCaFile: specifier.value };
    case 'inlineString':
      return { trustedCaPem: specifier.value };
    case 'inlineBytes':
      return { trustedCaPem: Buffer.from(specifier.value).toString('utf8') };
    default:
      report.add(path, 'one of filename, inline_string, inline_bytes is required');
      return {};
  }
}
