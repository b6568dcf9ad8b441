// Role-based access control. The filter's message and the policy message are both called RBAC.
export {
  RBACSchema as RBACFilterSchema,
  RBACPerRouteSchema,
  type RBAC as RBACFilter,
  type RBACPerRoute,
} from './gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
export { RBACSchema as RBACNetworkSchema, RBAC_EnforcementType, type RBAC as RBACNetwork } from './gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
export * from './gen/envoy/config/rbac/v3/rbac_pb.js';
export * from './gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
