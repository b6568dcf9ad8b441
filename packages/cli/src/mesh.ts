// Control plane and certificate authority composed in one process: what `weft up` runs, and tests too.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { CertificateAuthority, istioCertificateService, JoinTokens, RootRetirement, SvidRenewal } from '@weft/ca';
import { controlPlaneId, MeshServerCredentials, TlsContexts, type Clock, type Logger } from '@weft/spiffe';
import { MemoryStore, SqliteStore, type Store } from '@weft/store';
import { ControlPlane, FileSource, type ConfigProblem, type ConfigSource } from '@weft/xds-server';
import { addAdminRoutes } from './admin-routes.js';
import { rotation } from './rotation.js';
import { writeFileAtomically } from './state-file.js';

export interface MeshOptions {
  /** Files and folders of configuration. */
  config: readonly string[];
  /** Further sources; files come first where both hold an object. */
  sources?: readonly ConfigSource[];
  /** Folder of state. Absent: memory only, gone with the process. */
  dataDir?: string;
  /** Default `cluster.local`. */
  trustDomain?: string;
  /** Default 127.0.0.1. */
  address?: string;
  /** Defaults 15010, 15012, 15014; 0 = any free port. */
  xdsPort?: number;
  xdsTlsPort?: number;
  httpPort?: number;
  /** Further names and addresses in the control plane's certificate. */
  tlsNames?: readonly string[];
  /** Lifetime of SVIDs, default 1 hour. */
  svidTtlMs?: number;
  /** How long after a start no registration is withdrawn, default 30 s. */
  graceMs?: number;
  /** After how long, give or take a tenth, a discovery stream is ended to be opened anew. Default: only with its certificate. */
  maxStreamAgeMs?: number;
  allowInsecure?: boolean;
  clock?: Clock;
  logger?: Logger;
}

/** A running mesh. */
export interface Mesh {
  readonly xds: string;
  readonly xdsTls: string;
  readonly http: string;
  readonly adminToken: string;
  readonly controlPlane: ControlPlane;
  readonly ca: CertificateAuthority;
  readonly joinTokens: JoinTokens;
  /**
   * New root: published, acknowledged by everybody who is connected (10 s at most), then active. The old one stays trusted until
   * every certificate of it has expired. @returns the node ids of who had not acknowledged it.
   */
  rotate(): Promise<readonly string[]>;
  problems(): readonly ConfigProblem[];
  close(): Promise<void>;
}

export async function startMesh(options: MeshOptions): Promise<Mesh> {
  const { dataDir, clock, logger, trustDomain = 'cluster.local', address = '127.0.0.1' } = options;
  if (dataDir) mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const store: Store = dataDir ? new SqliteStore(join(dataDir, 'weft.db')) : new MemoryStore();
  const closing: (() => Promise<void> | void)[] = [() => store.close()];
  const close = async () => {
    for (const step of closing.splice(0).toReversed()) await step();
  };
  try {
    const ca = await CertificateAuthority.open({
      store,
      trustDomain,
      ...(options.svidTtlMs === undefined ? {} : { svidTtlSeconds: options.svidTtlMs / 1000 }),
      ...(clock ? { clock } : {}),
      ...(logger ? { logger } : {}),
    });
    const names = ['localhost', ...(options.tlsNames ?? [])];
    const identity = ca.svidSource({
      spiffeId: controlPlaneId(trustDomain).toString(),
      dnsNames: names.filter((name) => isIP(name) === 0),
      ipAddresses: [...new Set(['127.0.0.1', '::1', address, ...names].filter((name) => isIP(name) !== 0))],
    });
    closing.push(() => identity.close());
    await identity.ready();
    // CreateCertificate must be reachable without a certificate; who needs one is decided call by call.
    const tlsCredentials = new MeshServerCredentials(new TlsContexts(identity), { requireClientCertificate: false });
    closing.push(() => tlsCredentials.close());
    const joinTokens = new JoinTokens(ca, store);
    const adminToken = readOrMakeAdminToken(dataDir);
    const controlPlane = new ControlPlane({
      sources: [new FileSource(options.config, logger ? { logger } : {}), ...(options.sources ?? [])],
      store,
      settings: { trustDomain },
      address,
      xdsPort: options.xdsPort ?? 15010,
      xdsTlsPort: options.xdsTlsPort ?? 15012,
      httpPort: options.httpPort ?? 15014,
      tlsCredentials,
      authorities: { current: () => ca.bundle(), subscribe: (fn) => ca.onBundleChange(fn) },
      services: [istioCertificateService({ ca, attestors: [joinTokens, new SvidRenewal(ca)] })],
      adminToken,
      ...(options.graceMs === undefined ? {} : { graceMs: options.graceMs }),
      ...(options.maxStreamAgeMs === undefined ? {} : { limits: { maxAgeMs: options.maxStreamAgeMs } }),
      ...(options.allowInsecure ? { allowInsecure: true } : {}),
      ...(clock ? { clock } : {}),
      ...(logger ? { logger } : {}),
    });
    const rotate = rotation(ca, (timeoutMs) => controlPlane.bundleAcknowledged(timeoutMs));
    const retirement = new RootRetirement(ca);
    closing.push(() => retirement.close());
    addAdminRoutes(controlPlane, { ca, joinTokens, rotate });
    closing.push(() => controlPlane.close());
    const addresses = await controlPlane.start();
    const publishRoots = () => dataDir && writeFileAtomically(join(dataDir, 'root.pem'), ca.bundle().join(''), 0o644);
    publishRoots();
    closing.push(ca.onBundleChange(publishRoots));
    return { ...addresses, adminToken, controlPlane, ca, joinTokens, rotate, problems: () => controlPlane.problems(), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function readOrMakeAdminToken(dataDir: string | undefined): string {
  const file = dataDir && join(dataDir, 'admin.token');
  // An empty one would lock the operator out.
  const known = file && existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  if (known !== '') return known;
  const token = randomBytes(32).toString('base64url');
  if (file) writeFileAtomically(file, `${token}\n`, 0o600);
  return token;
}
