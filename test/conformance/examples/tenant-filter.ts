import type { HttpFilterFactory } from '@weft/data-plane';

interface TenantConfig {
  header: string;
  tenants: readonly string[];
}

/** Refuses requests of tenants that are not listed, and tells the tenant to access logs and later filters. */
export const tenantFilter: HttpFilterFactory<TenantConfig> = {
  name: 'shop.filters.tenant',
  typeUrls: ['type.googleapis.com/shop.TenantFilter'],
  sides: ['client', 'server'],
  // The value of the TypedStruct. What this throws refuses the resource, with the path of the field before it.
  parse(_typeUrl, value) {
    const { header = 'x-tenant', tenants } = JSON.parse(new TextDecoder().decode(value)) as Partial<TenantConfig>;
    if (!Array.isArray(tenants)) throw new Error('tenants: must be a list');
    return { header, tenants };
  },
  create: (context) => {
    // Lives as long as the filter's name stands in the listener: the place for state and counters.
    const refused = context.stats?.counter({ name: 'shop_tenants_refused', help: 'Requests of unknown tenants', labels: [] }).series();
    return {
      // Once a route: everything that can be prepared is prepared here. `override` is what the most specific level of the route says.
      forRoute(config, override) {
        const { header, tenants } = override ?? config;
        const known = new Set(tenants);
        return () => ({
          decodeHeaders(head, info) {
            const tenant = head.headers.get(header) ?? '';
            if (!known.has(tenant)) {
              refused?.add();
              return { status: 403, body: 'unknown tenant', details: 'tenant_unknown' };
            }
            (info.metadata ??= new Map()).set('shop.tenant', { tenant });
            return undefined;
          },
          encodeHeaders(response) {
            response.headers.set('x-tenant-checked', 'yes');
          },
        });
      },
    };
  },
};
