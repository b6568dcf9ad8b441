import { ChannelCredentials, Client, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { createCsr, encodeCsr, encodePem, type X509Svid } from '@weft/spiffe';
import { der } from '@weft/spiffe/der';
import { TestAuthority } from '@weft/spiffe/testing';
import { serviceDefinition } from '@weft/xds-api';
import { IstioCertificateService, type IstioCertificateRequest, type IstioCertificateResponse } from '@weft/xds-api/istio';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MemoryStore } from '@weft/store';
import { StoreAuditSink } from '../index.js';
import { startControlPlane, type TestControlPlane } from '../testing.js';

const cleanups: (() => void)[] = [];
afterEach(() => cleanups.splice(0).reverse().forEach((cleanup) => cleanup()));

async function start(options: Parameters<typeof startControlPlane>[0] = {}): Promise<TestControlPlane> {
  const controlPlane = await startControlPlane(options);
  cleanups.push(() => controlPlane.close());
  return controlPlane;
}

const { createCertificate } = serviceDefinition(IstioCertificateService);

interface Ask {
  csr?: string;
  ttl?: bigint;
  authorization?: string[];
  svid?: X509Svid;
  metadata?: Record<string, string>;
}

async function ask({ ca, address }: TestControlPlane, { csr, ttl = 0n, authorization = [], svid, metadata }: Ask): Promise<string[]> {
  const context = createSecureContext({ ca: ca.bundle(), ...(svid && { cert: svid.chainPem, key: svid.keyPem }) });
  const client = new Client(address, ChannelCredentials.createFromSecureContext(context, { checkServerIdentity: () => undefined }), { 'grpc.ssl_target_name_override': 'cp' });
  const headers = new Metadata();
  for (const value of authorization) headers.add('authorization', value);
  const request = { csr: csr ?? (await createCsr()).csrPem, validityDuration: ttl, ...(metadata && { metadata }) } as IstioCertificateRequest;
  try {
    return await new Promise<string[]>((resolve, reject) => {
      client.makeUnaryRequest(createCertificate.path, createCertificate.requestSerialize as (value: IstioCertificateRequest) => Buffer, createCertificate.responseDeserialize, request, headers, { deadline: Date.now() + 10_000 }, (error: ServiceError | null, answer?: IstioCertificateResponse) =>
        error ? reject(error) : resolve(answer!.certChain),
      );
    });
  } finally {
    client.close();
  }
}
const bearer = (token: string) => ({ authorization: [`Bearer ${token}`] });
const csrFor = async (uri: string) => (await createCsr({ uri })).csrPem;

describe('CreateCertificate', () => {
  it('answers with the leaf, then every root, the active one first', async () => {
    const controlPlane = await start();
    await controlPlane.ca.authorities.prepare();
    const [leaf, ...roots] = await ask(controlPlane, { ...bearer(await controlPlane.token()), csr: await csrFor('spiffe://td/ns/shop/sa/web'), ttl: 600n });
    expect(roots).toEqual(controlPlane.ca.bundle());
    const certificate = new X509Certificate(leaf!);
    expect(certificate.subjectAltName).toBe('URI:spiffe://td/ns/shop/sa/web');
    expect(Math.abs(certificate.validToDate.getTime() - Date.now() - 600_000)).toBeLessThan(30_000);
  });

  it('renews by client certificate, for the same identity only', async () => {
    const controlPlane = await start();
    const svid = await controlPlane.ca.issue({ spiffeId: 'spiffe://td/ns/shop/sa/web' });
    const [leaf] = await ask(controlPlane, { svid });
    expect(new X509Certificate(leaf!).subjectAltName).toBe('URI:spiffe://td/ns/shop/sa/web');
    await expect(ask(controlPlane, { svid, csr: await csrFor('spiffe://td/ns/shop/sa/admin') })).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
  });

  it('asks for proof', async () => {
    const controlPlane = await start();
    const stranger = TestAuthority.create('td').svid('/ns/shop/sa/web');
    for (const proof of [{}, { svid: stranger }, { authorization: ['Bearer x.y.z'] }, { authorization: ['Basic x'] }, { authorization: ['Bearer '] }, bearer('weft1.x.y'), bearer('x'.repeat(9000))]) {
      await expect(ask(controlPlane, proof)).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
    }
  });

  it('does not believe an expired certificate', async () => {
    const controlPlane = await start();
    const clock = vi.spyOn(controlPlane.ca.clock, 'now').mockReturnValue(Date.now() - 120_000);
    cleanups.push(() => clock.mockRestore());
    const svid = await controlPlane.ca.issue({ spiffeId: 'spiffe://td/ns/shop/sa/web', ttlSeconds: 10 });
    clock.mockRestore();
    await expect(ask(controlPlane, { svid })).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
  });

  it('refuses requests for other names, and what it cannot grant, in one line', async () => {
    const controlPlane = await start();
    const spiffeId = 'spiffe://td/ns/shop/sa/web';
    const svid = await controlPlane.ca.issue({ spiffeId });
    const names = (...list: Buffer[]) => encodePem('CERTIFICATE REQUEST', encodeCsr({ ...generateKeyPairSync('ec', { namedCurve: 'P-256' }), names: list }));
    const own = der(0x86, Buffer.from(spiffeId));
    const denied: [Ask, status][] = [
      [{ csr: names(own, own) }, status.PERMISSION_DENIED],
      [{ csr: names(own, der(0x82, Buffer.from('istiod.istio-system.svc'))) }, status.PERMISSION_DENIED],
      [{ csr: names(der(0x82, Buffer.from('*'))) }, status.PERMISSION_DENIED],
      [{ csr: names(der(0x87, Buffer.from([127, 0, 0, 1]))) }, status.PERMISSION_DENIED],
      [{ csr: names(der(0x82, Buffer.from(spiffeId))) }, status.PERMISSION_DENIED],
      [{ csr: await csrFor('spiffe://td/ns/shop/sa/web2') }, status.PERMISSION_DENIED],
      [{ csr: await csrFor('spiffe://other/ns/shop/sa/web') }, status.PERMISSION_DENIED],
      [{ metadata: { ImpersonatedIdentity: 'spiffe://td/ns/shop/sa/admin' } }, status.PERMISSION_DENIED],
      [{ csr: '' }, status.INVALID_ARGUMENT],
      [{ csr: 'x'.repeat(100_000) }, status.INVALID_ARGUMENT],
      [{ ttl: -1n }, status.INVALID_ARGUMENT],
      [{ ttl: 86_401n }, status.INVALID_ARGUMENT],
      [{ ttl: 2n ** 62n }, status.INVALID_ARGUMENT],
    ];
    for (const [request, code] of denied) {
      const error = (await ask(controlPlane, { svid, ...request }).catch((failure: unknown) => failure)) as ServiceError;
      expect([error.code, error.details.includes('\n')], JSON.stringify(request, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))).toEqual([code, false]);
    }
  });

  it('does not use a token up for a request that it cannot read', async () => {
    const controlPlane = await start();
    const token = await controlPlane.token();
    await expect(ask(controlPlane, { ...bearer(token), csr: 'x' })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(await ask(controlPlane, bearer(token))).toHaveLength(2);
  });

  it('holds each caller to its rate', async () => {
    const limited: string[] = [];
    const controlPlane = await start({ limiter: { allow: (caller) => (limited.push(caller), caller.startsWith('spiffe://')) } });
    await expect(ask(controlPlane, bearer(await controlPlane.token()))).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    await ask(controlPlane, { svid: await controlPlane.ca.issue({ spiffeId: 'spiffe://td/ns/shop/sa/web' }) });
    expect(limited).toEqual(['127.0.0.1', 'spiffe://td/ns/shop/sa/web']);
  });

  it('writes refusals down without the token, up to a limit', async () => {
    const store = new MemoryStore();
    const controlPlane = await start({ store });
    const token = await controlPlane.token();
    await controlPlane.tokens.attest({ bearer: token });
    const clock = vi.spyOn(controlPlane.ca.clock, 'now').mockReturnValue(Date.now());
    cleanups.push(() => clock.mockRestore());
    for (let round = 0; round < 110; round++) await ask(controlPlane, bearer(token)).catch(() => undefined);
    const lines = await new StoreAuditSink(store).lines();
    const denials = lines.filter((line) => line.includes('"deny"'));
    expect(denials).toHaveLength(100);
    expect(JSON.parse(denials[0]!)).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'the join token is unknown, expired or used up' });
    expect(lines.join()).not.toContain(token.split('.')[1]);
  });

  it('tells the caller nothing of its own failures', async () => {
    const controlPlane = await start();
    vi.spyOn(controlPlane.ca.authorities, 'sign').mockRejectedValue(new Error('secret detail'));
    const error = (await ask(controlPlane, bearer(await controlPlane.token())).catch((failure: unknown) => failure)) as ServiceError;
    expect([error.code, error.details]).toEqual([status.INTERNAL, 'the authority cannot issue certificates now; its log says why']);
  });
});
