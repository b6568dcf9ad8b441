// Runs cases through a real Envoy: what Weft is compared with.
import { connect } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, it, vi } from 'vitest';
import { runEnvoy, type EnvoyProcess } from '../support/envoy-process.js';
import { heldPort } from '../support/free-port.js';
import { CaseBackend, listenGrpc, listenHttp, type PlainBackend } from './case-backend.js';
import { runCase } from './case-exchange.js';
import { address, boundListenerOf, clusterOf, connectionManagerOf } from './case-resources.js';
import type { ConformanceCase, Json, Protocol } from './conformance-case.js';

interface Variant {
  readonly of: ConformanceCase;
  readonly protocol: Protocol;
  readonly id: string;
  port: number;
}

/** @param clusters that filters call. */
export function envoyConformance(title: string, envoyPath: string, cases: readonly ConformanceCase[], clusters: () => Promise<readonly Json[]> = async () => []): void {
  const asked = cases.filter(({ notEnvoy }) => notEnvoy === undefined);
  // Nothing of the kind is Envoy's.
  if (asked.length === 0) return;
  describe(title, () => {
    const variants = asked.flatMap((of, index) => (of.protocols ?? (['http', 'grpc'] as const)).map((protocol): Variant => ({ of, protocol, id: `case-${index}-${protocol}`, port: 0 })));
    const backend = new CaseBackend();
    let plain: Readonly<Record<Protocol, PlainBackend>>;
    let envoy: EnvoyProcess;

    beforeAll(async () => {
      plain = { http: await listenHttp(backend.http), grpc: await listenGrpc(backend.grpc()) };
      const held = await Promise.all(variants.map(async (variant) => ({ variant, ...(await heldPort()) })));
      for (const { variant, port } of held) variant.port = port;
      const bootstrap = {
        node: { id: 'cases', cluster: 'cases' },
        admin: { address: address(0) },
        static_resources: {
          listeners: variants.map(({ of, id, port }) => withoutType(boundListenerOf(id, port, connectionManagerOf(of, { route: { cluster: id } })))),
          clusters: [...variants.map(({ of, id, protocol }) => clusterOf(id, plain[protocol].port, protocol, of.cluster)), ...(await clusters()).map(withoutType)],
        },
      };
      for (const { release } of held) await release();
      envoy = runEnvoy(envoyPath, JSON.stringify(bootstrap));
      await vi.waitFor(async () => {
        const socket = connect(variants.at(-1)!.port, '127.0.0.1');
        await once(socket, 'connect').catch(() => Promise.reject(new Error(`Envoy does not listen: ${envoy.log()}`)));
        socket.destroy();
      }, { timeout: 20_000, interval: 50 });
    });

    afterAll(async () => {
      await envoy?.close();
      await plain?.http.close();
      await plain?.grpc.close();
    });

    it.each(variants.map((variant) => ({ ...variant, variant, name: variant.of.name })))('$name ($protocol)', ({ variant: { of, protocol, port } }) =>
      runCase(of, { protocol, url: `${protocol === 'http' ? 'http://' : ''}127.0.0.1:${port}`, backend }));
  });
}

function withoutType(resource: Json): Json {
  return Object.fromEntries(Object.entries(resource).filter(([name]) => name !== '@type'));
}
