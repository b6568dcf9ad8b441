// Session affinity.
export * from './gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.js';
export * from './gen/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.js';
export * from './gen/envoy/extensions/http/stateful_session/header/v3/header_pb.js';
export { CookieSchema, type Cookie, CookieAttributeSchema } from './gen/envoy/type/http/v3/cookie_pb.js';
