// What @weft/client and @weft/server are built from. Not for applications: it may change in any release.
export { MeshError, type MeshErrorCode } from './errors.js';
export { HeaderMap, type HeaderInput, type HeaderValue } from './stream/header-map.js';
export { grpcStatusOf, type LocalReply } from './stream/local-reply.js';
export { pathOnly, type RequestHead } from './stream/request-head.js';
export type { ResponseHead, StreamEnd, UpstreamFailure } from './stream/response-head.js';
export type { StreamInfo } from './stream/stream-info.js';
export { currentContext, runInContext, type RequestContext } from './context/request-context.js';
export type { Downstream, UpstreamAttempt } from './outbound/downstream.js';
export { Engine, type EngineOptions, type ListenerSource, type ListenerState } from './outbound/engine.js';
export { MeshNames, type MeshNamesOptions } from './outbound/mesh-names.js';
export type { Lookup, OutboundEngine, OutboundStream, StreamOptions } from './outbound/outbound-engine.js';
export type { OutboundListenerSnapshot } from './snapshot/outbound-listener.js';
export { httpFailure, isCallerError } from './transport/http-failure.js';
export { HttpTransport } from './transport/http-transport.js';
export type { Host } from './upstream/host.js';
export type { UpstreamCluster } from './upstream/upstream-cluster.js';
export { systemClock, type Clock, type TlsContexts } from '@weft/spiffe';
