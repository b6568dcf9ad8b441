// From the bootstrap to a source of identity and to credentials for the control plane.
import { ChannelCredentials, credentials } from '@grpc/grpc-js';
import { CaSource, channelCredentials, controlPlaneId, FileSource, type Clock, type SvidSource, type TlsContexts } from '@weft/spiffe';
import { readFile } from 'node:fs/promises';
import type { ControlPlaneServer, IdentityConfig } from './bootstrap.js';
import { MeshError } from '../errors.js';
import type { Logger } from '../telemetry/logger.js';

export function identitySource(config: IdentityConfig, clock: Clock, logger: Logger): SvidSource {
  const { kind, ...options } = config;
  const shared = { clock, logger };
  try {
    return kind === 'ca' ? new CaSource({ ...(options as Omit<Extract<IdentityConfig, { kind: 'ca' }>, 'kind'>), ...shared }) : new FileSource({ ...(options as Omit<Extract<IdentityConfig, { kind: 'files' }>, 'kind'>), ...shared });
  } catch (error) {
    throw new MeshError('WEFT_BOOTSTRAP_INVALID', (error as Error).message, { cause: error });
  }
}

/** Made anew for each connection, so that files and identities that changed are taken up. */
export async function controlPlaneCredentials(server: ControlPlaneServer, tls: TlsContexts | undefined, signal: AbortSignal): Promise<ChannelCredentials> {
  const wanted = server.credentials;
  switch (wanted.kind) {
    case 'insecure':
      return credentials.createInsecure();
    case 'tls': {
      const [root, key, chain] = await Promise.all([wanted.caCertificateFile, wanted.privateKeyFile, wanted.certificateFile].map((file) => (file === undefined ? null : readFile(file))));
      return credentials.createSsl(root, key, chain);
    }
    case 'identity': {
      if (!tls) throw new MeshError('WEFT_IDENTITY_UNAVAILABLE', 'the bootstrap names no source of identity');
      const { svid } = await tls.ready(signal).catch((error: unknown) => {
        throw new MeshError('WEFT_IDENTITY_UNAVAILABLE', error instanceof Error ? error.message : String(error), { cause: error });
      });
      return channelCredentials(tls, { expectedIds: [controlPlaneId(svid.id.trustDomain).toString()] });
    }
  }
}
