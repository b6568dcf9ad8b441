// TLS of upstream clusters and of inbound listeners, per kind of client (wire.md, security.md).
import { RawBufferSchema, SubjectAltNameMatcher_SanType as SanType, UpstreamTlsContextSchema, type CommonTlsContextSchema } from '@weft/xds-api/tls';
import type { Cluster_TransportSocketMatchSchema, ClusterSchema } from '@weft/xds-api/cluster';
import { isHttp } from '../model/service.js';
import type { ClientTls } from '../model/traffic-policy.js';
import type { ClusterTarget } from './cluster-target.js';
import { expectedIdentities, meshTls } from './endpoint-identity.js';
import { subsetEndpoints } from './endpoint.js';
import type { GenerateContext, ProfileName } from './generator.js';
import { extension, overAds, type Init } from './message.js';
import { outboundSni } from './name.js';
import { exactMatcher } from './string-match.js';

type CommonTlsInit = Init<typeof CommonTlsContextSchema>;
type ClusterTls = Pick<Init<typeof ClusterSchema>, 'transportSocket' | 'transportSocketMatches'>;

/** Where the operating system keeps trusted roots, for SIMPLE without caCertificates. */
const systemRoots = '/etc/ssl/certs/ca-certificates.crt';

/** Fields of the cluster; a string says why there must be no cluster: what cannot be protected as asked is withheld. */
export function clusterTls(context: GenerateContext, profile: ProfileName, target: ClusterTarget, http2: boolean): ClusterTls | string {
  const { tls } = target.policy;
  if (tls?.mode === 'disable') return {};
  if (tls?.mode === 'simple' || tls?.mode === 'mutual') {
    if (profile === 'grpc') return `tls.mode ${tls.mode.toUpperCase()} names files, gRPC takes certificates only from its bootstrap`;
    return { transportSocket: tlsSocket(originated(profile, tls, target, http2)) };
  }
  if (profile === 'grpc') return grpcTls(context, target, http2);
  if (target.service.location === 'external' && tls === undefined) return {};
  if (profile === 'envoy' && !context.node.hasIdentity) return withoutIdentity(context, target);
  const socket = tlsSocket(meshContext(context, profile, target, http2));
  return { transportSocketMatches: [socketMatch('istio', socket), socketMatch('disabled', rawBuffer())] };
}

/** gRPC has one transport socket a cluster: mTLS only where every endpoint speaks it, plain text only where none needs it. */
function grpcTls(context: GenerateContext, target: ClusterTarget, http2: boolean): ClusterTls | string {
  const endpoints = endpointStates(context, target);
  const allMtls = endpoints.every(({ state }) => state === 'mtls');
  const demanded = target.policy.tls?.mode === 'istio-mutual' || endpoints.some((endpoint) => endpoint.demanded);
  if (context.node.hasIdentity && allMtls) return endpoints.length > 0 || demanded ? { transportSocket: tlsSocket(meshContext(context, 'grpc', target, http2)) } : {};
  if (!demanded) return {};
  return context.node.hasIdentity
    ? 'mTLS is demanded, but not all endpoints have a service account and gRPC cannot choose TLS per endpoint'
    : 'mTLS is demanded, and the bootstrap of this gRPC client declares no certificate provider `default`';
}

function withoutIdentity(context: GenerateContext, target: ClusterTarget): ClusterTls | string {
  const demanded = target.policy.tls?.mode === 'istio-mutual' || endpointStates(context, target).some((endpoint) => endpoint.demanded);
  return demanded ? 'mTLS is demanded, and this Envoy has no identity' : {};
}

function endpointStates(context: GenerateContext, target: ClusterTarget) {
  const byClient = target.policy.tls?.mode === 'istio-mutual';
  return subsetEndpoints(context, target).map((endpoint) => meshTls(context, target.service, target.port, endpoint, byClient));
}

function meshContext(context: GenerateContext, profile: ProfileName, target: ClusterTarget, http2: boolean): Init<typeof UpstreamTlsContextSchema> {
  const { tls } = target.policy;
  const known = tls && tls.subjectAltNames.length > 0 ? [...tls.subjectAltNames] : expectedIdentities(context, target.service);
  // No names would mean "any certificate of our authority". Endpoints may come with an identity before this list does.
  const names = known.length > 0 ? known : [`spiffe://${context.model.settings.trustDomain}/no-identity-known`];
  return {
    commonTlsContext: { ...(profile === 'envoy' ? envoyMesh(names) : providerMesh(names)), alpnProtocols: isHttp(target.port.protocol) ? ['istio', http2 ? 'h2' : 'http/1.1'] : ['istio'] },
    sni: tls?.sni ?? outboundSni(target.name),
  };
}

/** Key pair and roots from certificate provider instances: gRPC's way, and Weft's. */
function providerMesh(names: readonly string[]): CommonTlsInit {
  const common = identityFromProvider();
  const { value } = common.validationContextType;
  return { ...common, validationContextType: { case: 'validationContext', value: { ...value, matchSubjectAltNames: names.map((name) => exactMatcher(name)) } } };
}

/** Our certificate and the roots we trust, as provider instances. What servers use; clients add whom they expect. */
export function identityFromProvider() {
  return {
    tlsCertificateProviderInstance: { instanceName: 'default' },
    validationContextType: { case: 'validationContext', value: { caCertificateProviderInstance: { instanceName: 'default', certificateName: 'ROOTCA' } } },
  } as const satisfies CommonTlsInit;
}

/** The key pair is a static secret of Envoy's bootstrap (it never leaves the machine), the roots follow the control plane. */
function envoyMesh(names: readonly string[]): CommonTlsInit {
  return {
    tlsCertificateSdsSecretConfigs: [{ name: 'default' }],
    validationContextType: {
      case: 'combinedValidationContext',
      value: {
        defaultValidationContext: typedNames(names),
        validationContextSdsSecretConfig: { name: 'ROOTCA', sdsConfig: overAds },
      },
    },
  };
}

/** Envoy deprecates the untyped list: there a DNS name that looks like a URI would pass for one (CVE-2022-21656). */
function typedNames(names: readonly string[]) {
  return { matchTypedSubjectAltNames: names.map((name) => ({ sanType: name.includes('://') ? SanType.URI : SanType.DNS, matcher: exactMatcher(name) })) };
}

/** SIMPLE and MUTUAL: the application's own certificates, for hosts outside the mesh. */
function originated(profile: ProfileName, tls: ClientTls, target: ClusterTarget, http2: boolean): Init<typeof UpstreamTlsContextSchema> {
  const { service } = target;
  const sni = tls.sni ?? (service.host.startsWith('*') ? '' : service.host);
  const names = tls.subjectAltNames.length > 0 ? tls.subjectAltNames : sni === '' ? [] : [sni];
  const file = (filename: string) => ({ specifier: { case: 'filename', value: filename } }) as const;
  return {
    commonTlsContext: {
      ...(tls.mode === 'mutual' && tls.clientCertificate && tls.privateKey
        ? { tlsCertificates: [{ certificateChain: file(tls.clientCertificate), privateKey: file(tls.privateKey) }] }
        : {}),
      ...(tls.insecureSkipVerify
        ? {}
        : {
            validationContextType: {
              case: 'validationContext',
              value: { trustedCa: file(tls.caCertificates ?? systemRoots), ...(profile === 'envoy' ? typedNames(names) : { matchSubjectAltNames: names.map((name) => exactMatcher(name)) }) },
            },
          }),
      ...(isHttp(target.port.protocol) ? { alpnProtocols: [http2 ? 'h2' : 'http/1.1'] } : {}),
    },
    sni,
  };
}

function tlsSocket(tls: Init<typeof UpstreamTlsContextSchema>) {
  return extension('envoy.transport_sockets.tls', UpstreamTlsContextSchema, tls);
}

export function rawBuffer() {
  return extension('envoy.transport_sockets.raw_buffer', RawBufferSchema, {});
}

function socketMatch(mode: 'istio' | 'disabled', transportSocket: ReturnType<typeof extension>): Init<typeof Cluster_TransportSocketMatchSchema> {
  return { name: `tlsMode-${mode}`, match: mode === 'istio' ? { tlsMode: 'istio' } : {}, transportSocket };
}
