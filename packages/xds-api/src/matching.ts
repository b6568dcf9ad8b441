// Matchers in lists and trees (xds.type.matcher.v3), and what they read of requests.
export * from './gen/xds/type/matcher/v3/matcher_pb.js';
export { StringMatcherSchema as XdsStringMatcherSchema, type StringMatcher as XdsStringMatcher } from './gen/xds/type/matcher/v3/string_pb.js';
export { RegexMatcherSchema as XdsRegexMatcherSchema, type RegexMatcher as XdsRegexMatcher } from './gen/xds/type/matcher/v3/regex_pb.js';
export * from './gen/envoy/type/matcher/v3/http_inputs_pb.js';
