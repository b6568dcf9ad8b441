// An xDS client against the test server, and what its watchers are told.
import { credentials } from '@grpc/grpc-js';
import { FakeClock } from '@weft/spiffe/testing';
import { SecretSchema } from '@weft/xds-api/tls';
import { secretType } from '../resource/secret.js';
import type { SecretConfig } from '../resource/secret-config.js';
import { AdsClient } from './ads-client.js';
import type { ResourceType } from './resource-type.js';
import { TestAdsServer, type TestAdsServerOptions } from './testing.js';

const opened: { close(): void }[] = [];

export function closeOnEnd(...things: { close(): void }[]): void {
  opened.push(...things);
}

export function closeAll(): void {
  for (const each of opened.splice(0).reverse()) each.close();
}

const nothing = () => undefined;

export async function start(options: TestAdsServerOptions & { server?: TestAdsServer } = {}, clientOptions: { ignoreResourceDeletion?: boolean } = {}) {
  const server = options.server ?? (await TestAdsServer.start(options));
  const clock = new FakeClock();
  const errors: string[] = [];
  const client = new AdsClient({
    target: { address: server.address, target: server.address, credentials: async () => credentials.createInsecure() },
    node: { id: 'test-node', cluster: '', locality: { region: '', zone: '', subZone: '' }, metadata: {} },
    clock,
    logger: { debug: nothing, info: nothing, warn: nothing, error: (_fields, message) => void errors.push(message) },
    random: () => 0.5,
    ...clientOptions,
  });
  closeOnEnd(server, client);
  return { server, clock, client, errors };
}

export function roots(server: TestAdsServer, name: string, pem: string): void {
  server.set(SecretSchema, name, { name, type: { case: 'validationContext', value: { trustedCa: { specifier: { case: 'inlineString', value: pem } } } } });
}

/** Everything a watcher was told, in order. */
export function follow(client: AdsClient, name: string, type: ResourceType<SecretConfig> = secretType) {
  const events: string[] = [];
  const subscription = client.watch(type, name, {
    onResource: ({ trustedCaPem }) => events.push(`resource ${trustedCaPem}`),
    onAbsent: () => events.push('absent'),
    onError: (error) => events.push(`error ${error.message}`),
  });
  return { events, close: () => subscription.close() };
}

/** A Secret as {@link roots} makes it. */
export function secretBytes(name: string, pem: string): Uint8Array {
  const pemBytes = Buffer.from(pem);
  const source = Buffer.from([0x1a, pemBytes.length, ...pemBytes]);
  const context = Buffer.from([0x0a, source.length, ...source]);
  return Buffer.from([0x0a, name.length, ...Buffer.from(name), 0x22, context.length, ...context]);
}
