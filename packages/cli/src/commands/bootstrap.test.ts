import { describe, expect, it } from 'vitest';
import { Command } from 'commander';
import { bootstrapCommand } from './bootstrap.js';

async function bootstrap(...args: string[]): Promise<any> {
  let printed = '';
  await new Command().addCommand(bootstrapCommand((text) => (printed += text)).exitOverride()).parseAsync(['bootstrap', ...args], { from: 'user' });
  return JSON.parse(printed) as unknown;
}

describe('weft bootstrap', () => {
  it('prints what every gRPC language needs: id and locality too, which grpc-js-xds insists on', async () => {
    const file = await bootstrap('grpc', '--control-plane', '127.0.0.1:15010', '--workload', 'shop/orders');
    expect(file['xds_servers'][0]).toMatchObject({ server_uri: '127.0.0.1:15010', channel_creds: [{ type: 'insecure' }] });
    expect(file['node']).toMatchObject({ cluster: 'orders.shop', locality: {}, metadata: { GENERATOR: 'grpc', NAMESPACE: 'shop' } });
    expect(file['certificate_providers']).toBeUndefined();
  });
  it('declares the certificate provider and says so in the metadata, with a refresh interval', async () => {
    const file = await bootstrap('grpc', '--control-plane', '127.0.0.1:15010', '--workload', 'orders', '--certificates', '/run/weft/');
    expect(file['certificate_providers'].default).toEqual({
      plugin_name: 'file_watcher',
      config: { certificate_file: '/run/weft/cert-chain.pem', private_key_file: '/run/weft/key.pem', ca_certificate_file: '/run/weft/root-cert.pem', refresh_interval: '10s' },
    });
    expect(file['node'].metadata.WEFT_CERT_PROVIDERS).toBe('default');
  });
  it('prints an Envoy bootstrap with delta ADS to the given address', async () => {
    const file = await bootstrap('envoy', '--control-plane', '[::1]:15010', '--workload', 'orders', '--port-offset', '10000');
    expect(file['node'].metadata).toMatchObject({ WEFT_PORT_OFFSET: 10000, NAMESPACE: 'default' });
    expect(file['dynamic_resources'].ads_config.api_type).toBe('DELTA_GRPC');
    expect(file['static_resources'].clusters[0].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address).toEqual({ address: '::1', port_value: 15010 });
  });
  it('refuses other clients with what there is', async () => {
    await expect(bootstrap('nginx', '--control-plane', 'a:1', '--workload', 'x')).rejects.toThrow(/no bootstrap for nginx/);
  });
});
