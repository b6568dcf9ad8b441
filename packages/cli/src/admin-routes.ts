// The authority's part of the control plane's HTTP API.
import type { CertificateAuthority, JoinTokens } from '@weft/ca';
import type { ControlPlane } from '@weft/xds-server';
import { createToken, describeAuthorities, type TokenRequest } from './authority.js';

interface Parts {
  ca: CertificateAuthority;
  joinTokens: JoinTokens;
  rotate(): Promise<readonly string[]>;
}

export function addAdminRoutes(controlPlane: ControlPlane, { ca, joinTokens, rotate }: Parts): void {
  const { admin } = controlPlane;
  admin.route('GET', '/v1/ca', () => describeAuthorities(ca));
  admin.route('POST', '/v1/tokens', async ({ body }) => ({ token: await createToken(joinTokens, body as TokenRequest) }));
  admin.route('POST', '/v1/ca/rotate', async () => {
    const unacknowledged = await rotate();
    return { ...describeAuthorities(ca), unacknowledged };
  });
}
