import { TlsParameters_TlsProtocol as Version } from '@weft/xds-api/tls';
import { describe, expect, it } from 'vitest';
import { chain, cluster, downstreamTls, problemsOf, serverListener, types, upstreamTls } from './testing.js';

const upstream = (...args: Parameters<typeof upstreamTls>) => cluster({ transportSocket: upstreamTls(...args) });
const downstream = (...args: Parameters<typeof downstreamTls>) => serverListener({ filterChains: [chain({ transportSocket: downstreamTls(...args) })] });
const common = 'transport_socket.typed_config.common_tls_context';
const validation = `${common}.validation_context`;
const inline = { specifier: { case: 'inlineString', value: 'PEM' } };
const file = (value: string) => ({ specifier: { case: 'filename', value } });

describe('TLS to upstreams', () => {
  it('is decoded', () => {
    const spiffe = { matchPattern: { case: 'exact', value: 'spiffe://td/ns/a/sa/b' } };
    const { resource } = types.cluster.decode(cluster({
      transportSocketMatches: [{ name: 'mtls', match: { tlsMode: 'istio' }, transportSocket: upstreamTls({ alpnProtocols: ['istio', 'h2'] }, { sni: 'x' }, { matchSubjectAltNames: [spiffe] }) }],
    }));
    expect(resource.transportSockets).toEqual([
      { name: 'mtls', match: { tlsMode: 'istio' }, tls: { identityProvider: 'default', rootProvider: 'default', subjectAltNames: [{ kind: 'exact', value: 'spiffe://td/ns/a/sa/b', ignoreCase: false }], alpn: ['istio', 'h2'], sni: 'x' } },
      { name: '', match: {} },
    ]);
  });

  it('may come from files', () => {
    const { resource } = types.cluster.decode(upstream({ tlsCertificateProviderInstance: undefined, tlsCertificates: [{ certificateChain: file('/c'), privateKey: file('/k') }], validationContextType: { case: 'validationContext', value: { trustedCa: inline } } }));
    expect(resource.transportSockets).toMatchObject([{ match: {}, tls: { certificateFiles: { chain: '/c', privateKey: '/k' }, trustedCaPem: 'PEM' } }]);
  });

  // Each of these, left aside, would believe more than the operator asked for (security.md X12, X13; gRFC A29).
  it.each<[string, Uint8Array, string]>([
    ['no roots', upstream({ validationContextType: { case: undefined } }), `${validation}: roots are required: ca_certificate_provider_instance or trusted_ca`],
    ['a provider that is not there', upstream({ tlsCertificateProviderInstance: { instanceName: 'other' } }), `${common}.tls_certificate_provider_instance.instance_name: this process has no certificate provider "other"`],
    ['roots of a provider that is not there', upstream({}, {}, { caCertificateProviderInstance: { instanceName: '' } }), `${validation}.ca_certificate_provider_instance.instance_name: this process has no certificate provider ""`],
    ['certificates over SDS', upstream({ tlsCertificateSdsSecretConfigs: [{ name: 'x' }] }), `${common}.tls_certificate_sds_secret_configs: not supported`],
    ['validation over SDS', upstream({ validationContextType: { case: 'validationContextSdsSecretConfig', value: { name: 'x' } } }), `${common}.validation_context_sds_secret_config: not supported`],
    ['combined validation over SDS', upstream({ validationContextType: { case: 'combinedValidationContext', value: { defaultValidationContext: { trustedCa: inline }, validationContextSdsSecretConfig: { name: 'x' } } } }), `${common}.combined_validation_context.validation_context_sds_secret_config: not supported`],
    ['pinned keys', upstream({}, {}, { verifyCertificateSpki: ['x'] }), `${validation}.verify_certificate_spki: not supported`],
    ['pinned certificates', upstream({}, {}, { verifyCertificateHash: ['x'] }), `${validation}.verify_certificate_hash: not supported`],
    ['revocation lists', upstream({}, {}, { crl: inline }), `${validation}.crl: not supported`],
    ['a validator of its own', upstream({}, {}, { customValidatorConfig: { name: 'x' } }), `${validation}.custom_validator_config: not supported`],
    ['expired certificates', upstream({}, {}, { allowExpiredCertificate: true }), `${validation}.allow_expired_certificate: not supported`],
    ['untrusted chains', upstream({}, {}, { trustChainVerification: 1 }), `${validation}.trust_chain_verification: not supported`],
    ['names of other kinds', upstream({}, {}, { matchTypedSubjectAltNames: [{ sanType: 2, matcher: { matchPattern: { case: 'exact', value: 'x' } } }] }), `${validation}.match_typed_subject_alt_names[0]: only san_type URI with a matcher is supported`],
    ['a handshaker of its own', upstream({ customHandshaker: { name: 'x' } }), `${common}.custom_handshaker: not supported`],
    ['less than TLS 1.3', upstream({ tlsParams: { tlsMaximumProtocolVersion: Version.TLSv1_2 } }), `${common}.tls_params.tls_maximum_protocol_version: must allow TLS 1.3`],
    ['curves', upstream({ tlsParams: { ecdhCurves: ['x'] } }), `${common}.tls_params.ecdh_curves: not supported`],
    ['keys in the message', upstream({ tlsCertificates: [{ certificateChain: inline, privateKey: inline }] }), `${common}.tls_certificates[0]: certificate_chain.filename and private_key.filename are required (keys are not taken over xDS)`],
    ['no context', cluster({ transportSocket: { name: 'envoy.transport_sockets.tls' } }), 'transport_socket.typed_config: is required'],
    ['another transport socket', cluster({ transportSocket: { name: 'x', configType: { case: 'typedConfig', value: { typeUrl: 't/x.Quic', value: new Uint8Array() } } } }), 'transport_socket.typed_config: must be envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, is x.Quic'],
  ])('is refused with %s', (_what, bytes, problem) => {
    expect(problemsOf(types.cluster, bytes)).toContain(problem);
  });

  it('takes parameters that TLS 1.3 satisfies', () => {
    expect(problemsOf(types.cluster, upstream({ tlsParams: { tlsMinimumProtocolVersion: Version.TLSv1_2, tlsMaximumProtocolVersion: Version.TLSv1_3, cipherSuites: ['x'] } }))).toEqual([]);
  });
});

describe('TLS of servers', () => {
  const path = `filter_chains[0].${common}`;
  it.each<[string, Uint8Array, string]>([
    ['no certificate', downstream({ tlsCertificateProviderInstance: undefined }), `${path}: a certificate is required: tls_certificate_provider_instance or tls_certificates`],
    ['client certificates without roots', downstream({ validationContextType: { case: undefined } }), 'filter_chains[0].transport_socket.typed_config.require_client_certificate: needs roots in validation_context'],
    ['names of clients', downstream({}, {}, { matchSubjectAltNames: [{ matchPattern: { case: 'exact', value: 'x' } }] }), `${path}.validation_context.match_subject_alt_names: not supported on servers; use RBAC principals`],
    ['required SNI', downstream({}, { requireSni: true }), 'filter_chains[0].transport_socket.typed_config.require_sni: not supported'],
    ['session keys', downstream({}, { sessionTicketKeysType: { case: 'sessionTicketKeys', value: {} } }), 'filter_chains[0].transport_socket.typed_config.session_ticket_keys: not supported'],
    ['stapling', downstream({}, { ocspStaplePolicy: 2 }), 'filter_chains[0].transport_socket.typed_config.ocsp_staple_policy: not supported'],
  ])('is refused with %s', (_what, bytes, problem) => {
    expect(problemsOf(types.server, bytes)).toContain(problem);
  });

  it('may say false to what it may not say true to', () => {
    const bytes = downstream({ validationContextType: { case: undefined } }, { requireClientCertificate: false, requireSni: false });
    expect(types.server.decode(bytes).resource.filterChains[0]!.tls).toMatchObject({ requireClientCertificate: false });
  });
});
