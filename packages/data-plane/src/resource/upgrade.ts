// Which protocols a request may change to: upgrade_configs of a listener and of a route.
import { HttpConnectionManager_UpgradeConfigSchema, type HttpConnectionManager_UpgradeConfig } from '@weft/xds-api/http';
import { RouteAction_UpgradeConfigSchema, type RouteAction_UpgradeConfig } from '@weft/xds-api/route';
import type { UpgradesConfig } from './route-config.js';
import { join, knownFields, type Report } from './report.js';

const listenerFields = knownFields(HttpConnectionManager_UpgradeConfigSchema, ['upgrade_type', 'enabled']);
// CONNECT: no client of the engine sends it, and its payload would need a listener of its own.
const routeFields = knownFields(RouteAction_UpgradeConfigSchema, ['upgrade_type', 'enabled']);

export function decodeListenerUpgrades(configs: readonly HttpConnectionManager_UpgradeConfig[], path: string, report: Report): UpgradesConfig {
  configs.forEach((config, i) => report.check(listenerFields, config, `${path}[${i}]`));
  return upgrades(configs, path, report);
}

export function decodeRouteUpgrades(configs: readonly RouteAction_UpgradeConfig[], path: string, report: Report): UpgradesConfig {
  configs.forEach((config, i) => report.check(routeFields, config, `${path}[${i}]`));
  return upgrades(configs, path, report);
}

function upgrades(configs: readonly { upgradeType: string; enabled?: boolean | undefined }[], path: string, report: Report): UpgradesConfig {
  const found = new Map<string, boolean>();
  configs.forEach(({ upgradeType, enabled = true }, i) => {
    const type = upgradeType.toLowerCase();
    if (type === '') report.add(join(`${path}[${i}]`, 'upgrade_type'), 'must not be empty');
    else if (found.has(type)) report.add(join(`${path}[${i}]`, 'upgrade_type'), `${upgradeType} stands there twice`);
    else if (type === 'connect' && enabled) report.unsupported(join(`${path}[${i}]`, 'upgrade_type'));
    found.set(type, enabled);
  });
  return found;
}
