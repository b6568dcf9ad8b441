import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { MeshNames } from '../outbound/mesh-names.js';
import { version } from '../version.js';
import { grpcTarget, instanceAddresses, isLoopbackTarget } from './address.js';
import { loadBootstrap } from './load-bootstrap.js';
import { nodeMessage } from './node.js';

const folder = mkdtempSync(join(tmpdir(), 'weft-bootstrap-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const server = { server_uri: 'dns:///istiod.istio-system.svc:15010', channel_creds: [{ type: 'google_default' }, { type: 'insecure' }], server_features: ['xds_v3', 'ignore_resource_deletion'] };
const istio = {
  xds_servers: [server],
  node: { id: 'sidecar~10.1.2.3~web-7d9.shop~shop.svc.mesh.example', cluster: 'web', locality: { region: 'r', zone: 'z', sub_zone: 's' }, metadata: { GENERATOR: 'grpc', NAMESPACE: 'shop' } },
  server_listener_resource_name_template: 'xds.istio.io/grpc/lds/inbound/%s',
  certificate_providers: { default: { plugin_name: 'file_watcher', config: { certificate_file: '/c', private_key_file: '/k', ca_certificate_file: '/r', refresh_interval: '0.5s' } } },
  unknown_field: 1,
};
const inline = (json: unknown) => loadBootstrap({}, { GRPC_XDS_BOOTSTRAP_CONFIG: JSON.stringify(json) });

describe("gRPC's bootstrap", () => {
  it('is read as istiod\'s agents write it', () => {
    const bootstrap = inline(istio);
    expect(bootstrap).toMatchObject({
      servers: [{ address: 'istiod.istio-system.svc:15010', credentials: { kind: 'insecure' }, ignoreResourceDeletion: true, loopback: false }],
      node: { id: istio.node.id, locality: { region: 'r', zone: 'z', subZone: 's' } },
      identity: { kind: 'files', certificateFile: '/c', privateKeyFile: '/k', caCertificateFile: '/r', refreshIntervalMs: 500 },
      serverListenerTemplate: 'xds.istio.io/grpc/lds/inbound/%s', workload: { namespace: 'shop', name: 'web-7d9' }, warnings: [],
    });
    expect(new MeshNames(bootstrap.names).listener('payments', 80)).toBe('payments.shop.svc.mesh.example:80');
    expect(nodeMessage(bootstrap.node)).toMatchObject({ id: istio.node.id, userAgentName: 'weft', metadata: { GENERATOR: 'grpc' } });
  });

  it('outweighs WEFT_*, a file outweighs inline text, and a bad file does not fall through', () => {
    const env = { WEFT_CONTROL_PLANE: 'cp:15012', GRPC_XDS_BOOTSTRAP_CONFIG: JSON.stringify(istio) };
    expect(loadBootstrap({}, env).servers[0].address).toBe('istiod.istio-system.svc:15010');
    const path = file('b.json', JSON.stringify({ ...istio, xds_servers: [{ ...server, server_uri: 'unix:/run/xds.sock' }] }));
    expect(loadBootstrap({}, { ...env, GRPC_XDS_BOOTSTRAP: path }).servers[0]).toMatchObject({ target: 'unix:/run/xds.sock', loopback: true });
    expect(() => loadBootstrap({}, { ...env, GRPC_XDS_BOOTSTRAP: join(folder, 'none') })).toThrow(/GRPC_XDS_BOOTSTRAP: ENOENT/);
    expect(() => loadBootstrap({}, { ...env, GRPC_XDS_BOOTSTRAP: file('bad.json', '{') })).toThrow(/bad\.json\): not JSON/);
    expect(loadBootstrap({ controlPlane: { address: 'other:1', plaintext: true } }, env).servers[0].address).toBe('other:1');
  });

  it('reads tls credentials', () => {
    const of = (config: object) => inline({ ...istio, xds_servers: [{ server_uri: 'x:1', channel_creds: [{ type: 'tls', config }] }] }).servers[0].credentials;
    expect(of({ ca_certificate_file: '/r', certificate_file: '/c', private_key_file: '/k' })).toEqual({ kind: 'tls', caCertificateFile: '/r', certificateFile: '/c', privateKeyFile: '/k' });
    expect(of({})).toEqual({ kind: 'tls' });
    expect(() => of({ certificate_file: '/c' })).toThrow('$.xds_servers[0].channel_creds[0].config: certificate_file and private_key_file go together');
  });

  it.each<[string, unknown]>([
    ['$: must be an object', []],
    ['$.xds_servers: must hold at least one server', { node: {} }],
    ['$.xds_servers: must be a list', { xds_servers: {} }],
    ['$.xds_servers[0].server_uri: must be a string that is not empty', { xds_servers: [{}] }],
    ['$.xds_servers[0].channel_creds: none is supported (insecure, tls): google_default; google_default needs Google Cloud', { xds_servers: [{ server_uri: 'x', channel_creds: [{ type: 'google_default' }] }] }],
    ['$.xds_servers[0].channel_creds[0].type: must be a string that is not empty', { xds_servers: [{ server_uri: 'x', channel_creds: [{}] }] }],
    ['$.node: must be an object', { ...istio, node: 'x' }],
    ['$.node.id: must be a string that is not empty', { ...istio, node: { id: 7 } }],
    ['$.node.metadata: must be an object', { ...istio, node: { metadata: [] } }],
    ['$.certificate_providers.a.plugin_name: must be a string that is not empty', { ...istio, certificate_providers: { a: {} } }],
    ['$.certificate_providers.a.config.private_key_file: must be a string that is not empty', { ...istio, certificate_providers: { a: { plugin_name: 'file_watcher', config: { certificate_file: '/c' } } } }],
    ['$.certificate_providers.default.config.refresh_interval: must be a duration such as "10s"', { ...istio, certificate_providers: { default: { ...istio.certificate_providers.default, config: { refresh_interval: '10' } } } }],
  ])('names the path: %s', (message, json) => {
    expect(() => inline(json)).toThrow(`GRPC_XDS_BOOTSTRAP_CONFIG: ${message}`);
  });

  it('warns of what it asks for and does not get', () => {
    const { warnings, certificateProviders, identity } = inline({
      ...istio,
      xds_servers: [{ ...server, call_creds: [{ type: 'jwt_token_file' }] }, server],
      authorities: { other: {} },
      certificate_providers: { ...istio.certificate_providers, spire: { plugin_name: 'spire' }, second: istio.certificate_providers.default },
    });
    expect(warnings).toHaveLength(5);
    expect([...certificateProviders]).toEqual(['default']);
    expect(identity).toMatchObject({ certificateFile: '/c' });
  });
});

describe("Weft's own bootstrap", () => {
  const env = { WEFT_CONTROL_PLANE: 'mesh.example:15012', WEFT_WORKLOAD: 'shop/web', WEFT_TOKEN_FILE: file('token', 'weft1.x.y\n'), WEFT_CA_FILE: file('ca.pem', 'PEM'), WEFT_STATE_DIR: join(folder, 'state'), WEFT_ADDRESS: '10.0.0.7' };

  it('is read from the environment', () => {
    const bootstrap = loadBootstrap({}, env);
    expect(bootstrap).toMatchObject({
      source: 'environment',
      servers: [{ target: 'dns:mesh.example:15012', credentials: { kind: 'identity' }, loopback: false }],
      identity: { kind: 'ca', address: 'mesh.example:15012', token: expect.any(Function) as never, rootPem: 'PEM', stateDir: env.WEFT_STATE_DIR },
      node: { cluster: 'web.shop', metadata: { AUTO_REGISTER_GROUP: 'web', NAMESPACE: 'shop', INSTANCE_IPS: '10.0.0.7', WEFT_VERSION: version } },
      serverListenerTemplate: undefined,
    });
    expect(bootstrap.node.id).toMatch(/^weft~10\.0\.0\.7~web-[0-9a-f]{8}\.shop~shop\.svc\.cluster\.local$/);
    expect(loadBootstrap({}, env).node.id).not.toBe(bootstrap.node.id);
    expect(new MeshNames(bootstrap.names).listener('payments', 80)).toBe('payments:80');
  });

  it('reads the token file whenever a token is needed: it may hold a newer one then', () => {
    const WEFT_TOKEN_FILE = file('changing', 'first\n');
    const { identity } = loadBootstrap({}, { ...env, WEFT_TOKEN_FILE });
    const read = (identity as unknown as { token(): string | undefined }).token;
    expect(read()).toBe('first');
    writeFileSync(WEFT_TOKEN_FILE, 'second\n');
    expect(read()).toBe('second');
    rmSync(WEFT_TOKEN_FILE);
    expect(read()).toBeUndefined();
  });

  it('takes options in code before the environment', () => {
    expect(loadBootstrap({ controlPlane: '[::1]:15012', workload: 'api', token: 't', rootCertificates: 'R', stateDir: '/s', address: '::1' }, env)).toMatchObject({
      source: 'options',
      servers: [{ address: '[::1]:15012', target: 'ipv6:[::1]:15012', loopback: true }],
      identity: { token: 't', rootPem: 'R', stateDir: '/s' },
      node: { cluster: 'api.default', metadata: { INSTANCE_IPS: '::1' } },
    });
  });

  it('speaks plain text only where that is said', () => {
    expect(loadBootstrap({ controlPlane: { address: '127.0.0.1:15010', plaintext: true } }, {})).toMatchObject({ identity: undefined, servers: [{ target: 'ipv4:127.0.0.1:15010', credentials: { kind: 'insecure' }, loopback: true }] });
    expect(() => loadBootstrap({}, { ...env, WEFT_CONTROL_PLANE: 'http://127.0.0.1:15010' })).toThrow(/WEFT_CONTROL_PLANE: "http:\/\/127\.0\.0\.1:15010" is not HOST:PORT \(without a scheme: it is TLS/);
  });

  it('refuses a first contact that nothing vouches for', () => {
    const bare = { WEFT_CONTROL_PLANE: 'cp:15012' };
    expect(() => loadBootstrap({}, bare)).toThrow(/nothing vouches/);
    expect(() => loadBootstrap({}, { ...bare, WEFT_STATE_DIR: join(folder, 'empty') })).toThrow(/nothing vouches/);
    expect(() => loadBootstrap({}, { ...bare, WEFT_TOKEN_FILE: join(folder, 'gone') })).toThrow(/WEFT_TOKEN_FILE: ENOENT/);
    mkdirSync(join(folder, 'saved'));
    writeFileSync(join(folder, 'saved', 'identity.json'), '{}');
    expect(loadBootstrap({}, { ...bare, WEFT_STATE_DIR: join(folder, 'saved'), WEFT_TOKEN_FILE: join(folder, 'gone') }).identity).toEqual({ kind: 'ca', address: 'cp:15012', stateDir: join(folder, 'saved'), token: expect.any(Function) as never });
  });

  it.each<[RegExp, Record<string, string>]>([
    [/no control plane: set WEFT_CONTROL_PLANE/, { WEFT_CONTROL_PLANE: '' }],
    [/WEFT_CONTROL_PLANE: "mesh" is not HOST:PORT/, { WEFT_CONTROL_PLANE: 'mesh' }],
    [/WEFT_CONTROL_PLANE: "mesh:99999" is not HOST:PORT/, { WEFT_CONTROL_PLANE: 'mesh:99999' }],
    [/WEFT_WORKLOAD: "Shop\/Web" is not NAMESPACE\/NAME/, { WEFT_WORKLOAD: 'Shop/Web' }],
    [/WEFT_WORKLOAD: "a\/b\/c" is not NAMESPACE\/NAME/, { WEFT_WORKLOAD: 'a/b/c' }],
    [/WEFT_ADDRESS: "here" is not an IP address/, { WEFT_ADDRESS: 'here' }],
  ])('says what is wrong: %s', (message, wrong) => {
    expect(() => loadBootstrap({}, { ...env, ...wrong })).toThrow(message);
  });

  it('joins no group where no workload is named', () => {
    const { node, workload } = loadBootstrap({}, { ...env, WEFT_WORKLOAD: undefined });
    expect(node.metadata).not.toHaveProperty('AUTO_REGISTER_GROUP');
    expect(workload.namespace).toBe('default');
    expect(workload.name).not.toBe('');
  });
});

describe('addresses', () => {
  it('are told from names', () => {
    expect([grpcTarget({ host: 'a', port: 1 }), grpcTarget({ host: '1.2.3.4', port: 1 }), grpcTarget({ host: '::1', port: 1 })]).toEqual(['dns:a:1', 'ipv4:1.2.3.4:1', 'ipv6:[::1]:1']);
    expect(['127.0.0.1:1', 'dns:///localhost:1', '[::1]:1', 'unix:/x', 'ipv6:[::1]:5'].map(isLoopbackTarget)).toEqual([true, true, true, true, true]);
    expect(['10.0.0.1:1', 'dns:///a.example:1', 'a:1'].map(isLoopbackTarget)).toEqual([false, false, false]);
    expect(instanceAddresses().length).toBeGreaterThan(0);
  });
});
