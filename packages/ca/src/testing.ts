import { Server } from '@grpc/grpc-js';
import { controlPlaneId, IdentityHolder, MeshServerCredentials, TlsContexts, type SvidSource } from '@weft/spiffe';
import { MemoryStore } from '@weft/store';
import { CertificateAuthority, istioCertificateService, JoinTokens, SvidRenewal, type IstioCertificateServiceOptions } from './index.js';

/** For tests: a certificate authority on a loopback port of its own, put together as a control plane does it. */
export interface TestControlPlane {
  readonly ca: CertificateAuthority;
  readonly tokens: JoinTokens;
  readonly address: string;
  /** A token for this `NS/SA`. */
  token(identity?: string): Promise<string>;
  close(): void;
}

export async function startControlPlane(options: { port?: number; ca?: CertificateAuthority; store?: MemoryStore; identity?: SvidSource; limiter?: IstioCertificateServiceOptions['limiter']; ipAddresses?: string[]; svidTtlSeconds?: number } = {}): Promise<TestControlPlane> {
  const store = options.store ?? new MemoryStore();
  const ca = options.ca ?? (await CertificateAuthority.open({ store, trustDomain: 'td', ...(options.svidTtlSeconds && { svidTtlSeconds: options.svidTtlSeconds }) }));
  const tokens = new JoinTokens(ca, store);
  const identity = options.identity ?? ca.svidSource({ spiffeId: controlPlaneId('td').toString(), ipAddresses: options.ipAddresses ?? [] });
  await identity.ready();
  const { definition, implementation } = istioCertificateService({ ca, attestors: [new SvidRenewal(ca), tokens], ...(options.limiter && { limiter: options.limiter }) });
  const server = new Server();
  server.addService(definition, implementation);
  const credentials = new MeshServerCredentials(new TlsContexts(identity), { requireClientCertificate: false });
  const port = await new Promise<number>((resolve, reject) => server.bindAsync(`127.0.0.1:${options.port ?? 0}`, credentials, (error, bound) => (error ? reject(error) : resolve(bound))));
  return {
    ca,
    tokens,
    address: `127.0.0.1:${port}`,
    token: (name = 'shop/web') => tokens.create({ workload: name, identity: name }),
    close() {
      server.forceShutdown();
      credentials.close();
      if (!(identity instanceof IdentityHolder)) identity.close();
    },
  };
}
