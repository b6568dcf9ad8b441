// The filters of one filter chain: HTTP by an HttpConnectionManager, bytes by a tcp_proxy, before which RBAC may judge connections.
import { HttpConnectionManagerSchema, TcpProxySchema } from '@weft/xds-api/http';
import { RBACNetworkSchema } from '@weft/xds-api/filter-rbac';
import { FilterSchema, type Filter } from '@weft/xds-api/listener';
import type { NetworkRbacConfig } from '../filter/network/rbac.js';
import { decodeHttpConnectionManager } from './http-connection-manager.js';
import type { HttpFilterRegistry, Side } from './http-filter.js';
import type { HttpConnectionManagerConfig, TcpChainConfig } from './listener-config.js';
import { decodeNetworkRbac } from './network-rbac.js';
import { knownFields, type Report } from './report.js';
import { decodeTcpProxy } from './tcp-proxy.js';
import { typeNameOf, unpack } from './value.js';

export type NetworkFilters = { http: HttpConnectionManagerConfig; tcp?: undefined } | { tcp: TcpChainConfig; http?: undefined };

const fields = knownFields(FilterSchema, ['name', 'typed_config'], [], ['config_discovery']);

export function decodeNetworkFilters(filters: readonly Filter[], side: Side, registry: HttpFilterRegistry, path: string, report: Report): NetworkFilters | undefined {
  const rbac: NetworkRbacConfig[] = [];
  for (const [i, filter] of filters.entries()) {
    const { name, configType } = filter;
    report.check(fields, filter, `${path}[${i}]`);
    const at = `${path}[${i}].typed_config`;
    if (configType.case !== 'typedConfig') {
      if (configType.case) report.unsupported(`${path}[${i}].config_discovery`);
      else report.add(at, 'is required');
      return undefined;
    }
    const any = configType.value;
    const last = i === filters.length - 1;
    switch (typeNameOf(any)) {
      case RBACNetworkSchema.typeName: {
        const config = unpack(any, RBACNetworkSchema, at, report);
        if (config) rbac.push(decodeNetworkRbac(config, at, report));
        if (last) report.add(`${path}[${i}]`, `${name} cannot be the last filter: nothing takes the bytes`);
        break;
      }
      case TcpProxySchema.typeName: {
        if (!last) report.add(`${path}[${i + 1}]`, 'nothing comes after tcp_proxy');
        const proxy = unpack(any, TcpProxySchema, at, report);
        return proxy && { tcp: { rbac, proxy: decodeTcpProxy(proxy, at, report) } };
      }
      case HttpConnectionManagerSchema.typeName: {
        if (filters.length !== 1) report.add(path, `must be one HttpConnectionManager, are ${filters.length} filters`);
        const http = decodeHttpConnectionManager(any, side, registry, at, report);
        return http && { http };
      }
      default:
        report.add(at, `must be an HttpConnectionManager, TcpProxy or network RBAC, is ${typeNameOf(any) || 'empty'}`);
        return undefined;
    }
  }
  if (filters.length === 0) report.add(path, 'must be one HttpConnectionManager, are 0 filters');
  return undefined;
}
