// Parts for tests of @weft/client and @weft/server. Not for applications.
export * from './inbound/testing.js';
export * from './telemetry/testing.js';
export { IstioTelemetry } from './telemetry/istio-telemetry.js';
export { Stats } from './telemetry/stats.js';
export { appendFilter, failingFilter, limitFilter, testFilter, upperFilter, watchFilter } from './filter/test-filters.js';
export { grpcWeb } from './filter/http/grpc-web.js';
export { builtinLoadBalancers } from './load-balancing/builtin.js';
export { loadXxh64 } from './route/xxh64.js';
export { Host } from './upstream/host.js';
export { makeDecoders } from './resource/decoders.js';
export { RouteTable } from './route/route-table.js';
