import { expect, it } from 'vitest';
import { decodeListenerUpgrades, decodeRouteUpgrades } from './upgrade.js';
import { create } from '@weft/xds-api/protobuf';
import { HttpConnectionManager_UpgradeConfigSchema } from '@weft/xds-api/http';
import { RouteAction_UpgradeConfigSchema } from '@weft/xds-api/route';
import { Report } from './report.js';

it('upgrade types are compared without case and are on unless they say otherwise', () => {
  const report = new Report();
  const configs = [{ upgradeType: 'WebSocket' }, { upgradeType: 'other', enabled: false }].map((config) => create(HttpConnectionManager_UpgradeConfigSchema, config));
  expect(decodeListenerUpgrades(configs, 'upgrade_configs', report)).toEqual(new Map([['websocket', true], ['other', false]]));
  expect(report.problems).toEqual([]);
});

it('CONNECT, filters of their own and a type that stands twice are refused', () => {
  const report = new Report();
  decodeRouteUpgrades([{ upgradeType: 'CONNECT', connectConfig: {} }, { upgradeType: 'a' }, { upgradeType: 'A' }].map((config) => create(RouteAction_UpgradeConfigSchema, config)), 'r', report);
  decodeListenerUpgrades([create(HttpConnectionManager_UpgradeConfigSchema, { upgradeType: 'b', filters: [{ name: 'f' }] })], 'l', report);
  expect(report.problems.map(({ path }) => path)).toEqual(['r[0].connect_config', 'r[0].upgrade_type', 'r[2].upgrade_type', 'l[0].filters']);
});
