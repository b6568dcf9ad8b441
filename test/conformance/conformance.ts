// Runs cases through Weft: a real control plane with the cases' raw resources, one workload that is client and server.
import type { RuntimeOptions } from '@weft/data-plane/internal';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { heldPort } from '../support/free-port.js';
import { groupYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';
import { CaseBackend, listenGrpc, listenHttp, type PlainBackend } from './case-backend.js';
import { runCase, type Target } from './case-exchange.js';
import { boundListenerOf, clientListenerOf, clusterOf, connectionManagerOf } from './case-resources.js';
import type { ConformanceCase, Json, Protocol, Side } from './conformance-case.js';

export interface ConformanceOptions {
  /** Of the workload: its own filters, a clock. */
  readonly runtime?: RuntimeOptions;
  /** More resources, such as clusters that filters call. */
  readonly resources?: readonly Json[];
}

interface Variant {
  readonly of: ConformanceCase;
  readonly side: Side;
  readonly protocol: Protocol;
  readonly id: string;
  port: number;
}

/** One `describe`, with one test a case, side and protocol. `options` as a function: made when the tests start. */
export function conformance(title: string, cases: readonly ConformanceCase[], options: ConformanceOptions | (() => Promise<ConformanceOptions>) = {}): void {
  describe(title, () => {
    const variants = cases.flatMap((of, index) => (of.sides ?? sides).flatMap((side) => (of.protocols ?? protocols).map((protocol): Variant => ({ of, side, protocol, id: `case-${index}-${side}-${protocol}`, port: 0 }))));
    const backend = new CaseBackend();
    let plain: Readonly<Record<Protocol, PlainBackend>>;
    let mesh: TestMesh;
    let workload: TestWorkload;

    beforeAll(async () => {
      const { runtime = {}, resources = [] } = typeof options === 'function' ? await options() : options;
      plain = { http: await listenHttp(backend.http), grpc: await listenGrpc(backend.grpc()) };
      // Kept until they are bound: other test files look for ports at the same time.
      const held = new Map<Variant, Awaited<ReturnType<typeof heldPort>>>();
      for (const variant of variants) if (variant.side === 'server') held.set(variant, await heldPort());
      for (const [variant, { port }] of held) variant.port = port;
      const all = [...resources, ...variants.flatMap((variant) => resourcesOf(variant, plain[variant.protocol].port))];
      mesh = await TestMesh.start({ 'resources.json': JSON.stringify({ resources: all }), 'group.yaml': groupYaml('cases', 'cases') });
      workload = await mesh.workload('cases', 'cases', runtime);
      for (const [{ protocol, port }, { release }] of held) {
        await release();
        await workload.server.listen(protocol === 'http' ? backend.http : backend.grpc(workload.server.grpcOptions()), { port, host: '127.0.0.1', name: protocol });
      }
      await workload.server.ready(AbortSignal.timeout(20_000));
    });

    afterAll(async () => {
      await mesh?.close();
      await plain?.http.close();
      await plain?.grpc.close();
    });

    const targetOf = ({ side, protocol, id, port }: Variant): Target => {
      if (side === 'server') return { protocol, url: `${protocol === 'http' ? 'http://' : ''}127.0.0.1:${port}`, backend };
      return { protocol, url: `${protocol === 'http' ? 'http' : 'xds'}://${protocol === 'http' ? '' : '/'}${id}.test:80`, dispatcher: workload.client.dispatcher, grpcOptions: workload.client.grpc(), backend };
    };
    describe.each([...new Set(variants.map(({ of }) => of))].map((of) => ({ of, name: of.name })))('$name', ({ of }) => {
      it.each(variants.filter((variant) => variant.of === of))('$side, $protocol', (variant) => runCase(of, targetOf(variant)));
    });
  });
}

const sides: readonly Side[] = ['client', 'server'];
const protocols: readonly Protocol[] = ['http', 'grpc'];

function resourcesOf({ of, side, protocol, id, port }: Variant, backendPort: number): Json[] {
  if (side === 'server') return [boundListenerOf(`weft/inbound/${protocol}/127.0.0.1:${port}`, port, connectionManagerOf(of, { non_forwarding_action: {} }))];
  return [
    clientListenerOf(`${id}.test:80`, connectionManagerOf(of, { route: { cluster: id } })),
    { '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster', ...clusterOf(id, backendPort, protocol, of.cluster) },
  ];
}
