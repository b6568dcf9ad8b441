// Weft's own way to join: options in code, or WEFT_* (contracts.md 1).
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { MeshError } from '../errors.js';
import { isLoopback } from '../resource/endpoint-policy.js';
import { version } from '../version.js';
import { grpcTarget, instanceAddresses, splitAddress } from './address.js';
import type { Bootstrap, BootstrapOptions, ControlPlaneServer, Environment, IdentityConfig, NodeConfig } from './bootstrap.js';

const clusterDomain = 'cluster.local';

export function weftBootstrap(options: BootstrapOptions, env: Environment): Bootstrap {
  const given = options.controlPlane ?? env['WEFT_CONTROL_PLANE'];
  if (!given) throw new MeshError('WEFT_BOOTSTRAP_INVALID', 'no control plane: set WEFT_CONTROL_PLANE to HOST:PORT (or GRPC_XDS_BOOTSTRAP, or the option controlPlane)');
  const { address, plaintext = false } = typeof given === 'string' ? { address: given } : given;
  const endpoint = splitAddress(address, options.controlPlane === undefined ? 'WEFT_CONTROL_PLANE' : 'controlPlane');
  const server: ControlPlaneServer = {
    address,
    target: grpcTarget(endpoint),
    credentials: { kind: plaintext ? 'insecure' : 'identity' },
    ignoreResourceDeletion: false,
    loopback: isLoopback(endpoint.host),
  };
  const workload = readWorkload(options.workload ?? env['WEFT_WORKLOAD']);
  return {
    source: options.controlPlane === undefined ? 'environment' : 'options',
    servers: [server],
    node: { ...weftNode(workload, options.address ?? env['WEFT_ADDRESS']), locality: readLocality(options.locality, env['WEFT_LOCALITY']) },
    identity: plaintext ? undefined : readIdentity(address, options, env),
    certificateProviders: new Set(['default']),
    names: { namespace: workload.namespace, clusterDomain },
    serverListenerTemplate: undefined,
    workload: { namespace: workload.namespace, name: workload.name },
    ...localClusterName(options.localClusterName ?? env['WEFT_LOCAL_CLUSTER']),
    warnings: [],
  };
}

function localClusterName(name: string | undefined): Pick<Bootstrap, 'localClusterName'> {
  return name ? { localClusterName: name } : {};
}

function readLocality(given: BootstrapOptions['locality'], text = ''): NodeConfig['locality'] {
  const [region = '', zone = '', subZone = '', ...more] = text.split('/');
  if (more.length > 0) throw new MeshError('WEFT_BOOTSTRAP_INVALID', `WEFT_LOCALITY: ${JSON.stringify(text)} is not REGION/ZONE/SUBZONE`);
  return { region: given?.region ?? region, zone: given?.zone ?? zone, subZone: given?.subZone ?? subZone };
}

interface Workload {
  readonly namespace: string;
  readonly name: string;
  /** Whether it was said, and so is the name of a WorkloadGroup to join. */
  readonly declared: boolean;
}

function readWorkload(text: string | undefined): Workload {
  if (text === undefined || text === '') return { namespace: 'default', name: hostname().toLowerCase().replace(/[^a-z0-9-]+/g, '-') || 'unknown', declared: false };
  const [, namespace = 'default', name] = /^(?:([a-z0-9]+(?:-+[a-z0-9]+)*)\/)?([a-z0-9]+(?:[-.]+[a-z0-9]+)*)$/.exec(text) ?? [];
  if (name === undefined) throw new MeshError('WEFT_BOOTSTRAP_INVALID', `WEFT_WORKLOAD: ${JSON.stringify(text)} is not NAMESPACE/NAME`);
  return { namespace, name, declared: true };
}

function weftNode({ namespace, name, declared }: Workload, address: string | undefined): Omit<NodeConfig, 'locality'> {
  if (address !== undefined && isIP(address) === 0) throw new MeshError('WEFT_BOOTSTRAP_INVALID', `WEFT_ADDRESS: ${JSON.stringify(address)} is not an IP address`);
  const addresses = address === undefined ? instanceAddresses() : ([address] as const);
  return {
    // Several processes of one machine are different nodes.
    id: `weft~${addresses[0]}~${name}-${randomBytes(4).toString('hex')}.${namespace}~${namespace}.svc.${clusterDomain}`,
    cluster: `${name}.${namespace}`,
    metadata: { ...(declared && { AUTO_REGISTER_GROUP: name }), NAMESPACE: namespace, INSTANCE_IPS: addresses.join(','), WEFT_VERSION: version },
  };
}

function readIdentity(address: string, options: BootstrapOptions, env: Environment): IdentityConfig {
  const stateDir = options.stateDir ?? env['WEFT_STATE_DIR'];
  const saved = stateDir !== undefined && existsSync(join(stateDir, 'identity.json'));
  const rootPem = options.rootCertificates ?? readFile(env, 'WEFT_CA_FILE', false);
  // A token is used once; when there is an identity from it, its file may be gone.
  const readToken = (optional: boolean) => readFile(env, 'WEFT_TOKEN_FILE', optional)?.trim() || undefined;
  const given = options.token ?? readToken(saved);
  // The file is read again whenever a token is needed: after an outage that outlasts the certificate, a new one put there is enough.
  const token = options.token ?? (env['WEFT_TOKEN_FILE'] && (given || saved) ? () => readToken(true) : undefined);
  // First contact is pinned: what vouches for the control plane must be here before anything is sent.
  if (!saved && rootPem === undefined && !given) {
    throw new MeshError('WEFT_BOOTSTRAP_INVALID', 'nothing vouches for the control plane and for this workload: set WEFT_TOKEN_FILE (`weft token create`), or WEFT_CA_FILE with a token, or a WEFT_STATE_DIR that holds an identity');
  }
  return { kind: 'ca', address, ...(rootPem !== undefined && { rootPem }), ...(token && { token }), ...(stateDir !== undefined && { stateDir }) };
}

function readFile(env: Environment, name: string, optional: boolean): string | undefined {
  const path = env[name];
  if (!path) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (optional) return undefined;
    throw new MeshError('WEFT_BOOTSTRAP_INVALID', `${name}: ${(error as Error).message}`, { cause: error });
  }
}
