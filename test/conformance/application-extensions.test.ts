// Filters and load-balancing policies of applications, as docs/extending.md shows them.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { conformance } from './conformance.js';
import type { ConformanceCase, Json } from './conformance-case.js';
import { firstListed } from './examples/first-listed.js';
import { tenantFilter } from './examples/tenant-filter.js';

const struct = (type: string, value: Json = {}): Json => ({ '@type': 'type.googleapis.com/xds.type.v3.TypedStruct', type_url: `type.googleapis.com/${type}`, value });
const tenant = (tenants: string[]): Json => struct('shop.TenantFilter', { tenants });
const refused = { status: 403, body: 'unknown tenant', seen: false, headers: { 'x-tenant-checked': 'yes' } } as const;

const cases: readonly ConformanceCase[] = [
  {
    name: 'a filter judges and edits, by route where it has an override',
    filters: [{ name: 'tenant', typed_config: tenant(['acme']) }],
    routes: [{ match: { prefix: '/', headers: [{ name: 'x-open', present_match: true }] }, typed_per_filter_config: { tenant: tenant(['acme', 'other']) } }, {}],
    exchanges: [
      { headers: { 'x-tenant': 'acme' }, expect: { seen: { 'x-tenant': 'acme' }, headers: { 'x-tenant-checked': 'yes' } } },
      { headers: { 'x-tenant': 'other' }, expect: refused },
      { expect: refused },
      { headers: { 'x-tenant': 'other', 'x-open': '1' }, expect: {} },
    ],
  },
  {
    name: 'filters that nobody has are left out where they are optional',
    filters: [{ name: 'unknown', is_optional: true, typed_config: struct('shop.Unknown') }, { name: 'tenant', disabled: true, typed_config: tenant([]) }],
    exchanges: [{ expect: {} }],
  },
  {
    name: 'a policy chooses hosts',
    sides: ['client'],
    cluster: { load_balancing_policy: { policies: [{ typed_extension_config: { name: 'unknown', typed_config: struct('shop.Unknown') } }, { typed_extension_config: { name: 'first', typed_config: struct('shop.FirstListed') } }] } },
    exchanges: [{ expect: {} }],
  },
];

conformance('extensions of an application', cases, { runtime: { filters: [tenantFilter], loadBalancers: [firstListed] } });

it('docs/extending.md shows these very files', () => {
  const doc = readFileSync(new URL('../../docs/extending.md', import.meta.url), 'utf8');
  for (const name of ['tenant-filter', 'first-listed']) expect(doc).toContain(readFileSync(new URL(`examples/${name}.ts`, import.meta.url), 'utf8'));
});
