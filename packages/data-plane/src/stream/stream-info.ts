// What is known of one request while it runs: filters, load balancers, access logs and metrics read and write it.
import type { LocalReply } from './local-reply.js';
import type { ResponseFlag } from './response-flag.js';

/** The authenticated other side of an inbound connection. */
export interface PeerIdentity {
  spiffeId: string;
  trustDomain: string;
  namespace?: string;
  serviceAccount?: string;
}

export interface StreamInfo {
  readonly direction: 'outbound' | 'inbound';
  /** performance.now() at the start. */
  readonly startTime: number;
  readonly protocol: 'http' | 'grpc' | 'tcp';
  /** Before any rewrite. */
  readonly method: string;
  readonly originalPath: string;
  readonly authority: string;
  /** `HTTP/1.1`, `HTTP/2`. */
  httpVersion: string;
  routeName: string;
  clusterName: string;
  /** Attempts made so far, the first included. */
  attempts: number;
  flags: ResponseFlag[];
  responseCodeDetails: string;
  /** 0 where no response was ever given. */
  status: number;
  grpcStatus?: number;
  bytesSent: number;
  bytesReceived: number;
  /** `IP:port` of the host of the last attempt. */
  upstreamAddress: string;
  /** Set by filters: the host that the first attempt is to go to (session affinity). */
  overrideHost?: { readonly address: string; readonly strict: boolean; readonly missingStatus?: number };
  /** Identity of the host of the last attempt, as xDS expects it. */
  upstreamSpiffeId?: string;
  /** Of the cluster (outbound) or the listener (inbound): Istio's `istio.services`. */
  destination?: DestinationService;
  /** Workload of the other side, from endpoint metadata (outbound) or the peer's own header (inbound). */
  peerWorkload?: WorkloadInfo;
  /** Inbound only. */
  peer?: PeerIdentity;
  /** Inbound, with TLS: the URI of the certificate that this side showed. */
  localUriSan?: () => string;
  downstreamRemoteAddress: string;
  /** The peer itself, where a PROXY protocol header told of another. */
  downstreamDirectRemoteAddress?: string;
  downstreamLocalAddress: string;
  mutualTls: boolean;
  requestedServerName: string;
  localReply?: LocalReply;
  /** Inbound only: which other spellings of a path reach the same handler. Absent: none. */
  router?: RouterSpelling;
  /** What the route's fractions and weights are taken from; drawn at first use (route/random-value.ts). */
  randomValue?: number | bigint;
  /** Values that filters share, by key (Envoy's filter state, in its text form). */
  filterState?: Map<string, string>;
  /** Inbound only: one object a connection, for what filters keep of it. */
  readonly connection?: object;
  /** Dynamic metadata by filter name. */
  metadata?: Map<string, Readonly<Record<string, unknown>>>;
}

/**
 * How the application's router compares paths. A deny rule has to match every spelling that the router takes for the one in the rule
 * (Express serves `/admin` for `/Admin` and `/admin/`).
 */
export interface RouterSpelling {
  caseSensitive: boolean;
  /** `/a` and `/a/` are two paths. */
  strict: boolean;
  /** The router compares percent-decoded paths (find-my-way). */
  decodes: boolean;
}

export interface DestinationService {
  host: string;
  name: string;
  namespace: string;
}

/** Istio's description of a workload, the source of most metric labels. */
export interface WorkloadInfo {
  name: string;
  namespace: string;
  canonicalService: string;
  canonicalRevision: string;
  cluster: string;
}

/** A flag says that something happened, not how often. */
export function addFlag(info: StreamInfo, flag: ResponseFlag): void {
  if (!info.flags.includes(flag)) info.flags.push(flag);
}
