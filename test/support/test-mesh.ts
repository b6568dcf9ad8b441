// A real mesh in this process: control plane and authority, and workloads each with a runtime and an identity of its own.
import { startMesh, type Mesh as ControlPlaneMesh, type MeshOptions } from '@weft/cli';
import { createRuntime, type Runtime, type RuntimeOptions } from '@weft/data-plane/internal';
// A process has one runtime; tests need several workloads in one, so they put client and server over runtimes of their own.
import { meshOver, type Mesh } from '../../packages/client/src/create-mesh.js';
import { MeshServer } from '../../packages/server/src/mesh-server.js';
import { ConfigFolder } from './config-folder.js';

export interface TestWorkload {
  readonly runtime: Runtime;
  readonly client: Mesh;
  readonly server: MeshServer;
  close(): Promise<void>;
}

export class TestMesh {
  readonly config: ConfigFolder;
  readonly controlPlane: ControlPlaneMesh;
  readonly #options: Partial<MeshOptions>;
  readonly #closing: (() => Promise<void>)[] = [];

  private constructor(config: ConfigFolder, controlPlane: ControlPlaneMesh, options: Partial<MeshOptions>) {
    this.config = config;
    this.controlPlane = controlPlane;
    this.#options = options;
  }

  static async start(files: Readonly<Record<string, string>>, options: Partial<MeshOptions> = {}): Promise<TestMesh> {
    const config = new ConfigFolder(files);
    const controlPlane = await startMesh({ config: [config.path], xdsPort: 0, xdsTlsPort: 0, httpPort: 0, ...options });
    return new TestMesh(config, controlPlane, options);
  }

  get options(): Partial<MeshOptions> {
    return this.#options;
  }

  /** A workload of namespace `default` that joins with a fresh token. */
  async workload(name: string, account = name, options: RuntimeOptions = {}, clientOptions: Parameters<typeof meshOver>[1] = {}): Promise<TestWorkload> {
    const token = await this.controlPlane.joinTokens.create({ workload: `default/${name}`, identity: `default/${account}` });
    const runtime = createRuntime({ controlPlane: this.controlPlane.xdsTls, workload: `default/${name}`, address: '127.0.0.1', token, ...options }, {});
    // Client and server each let go of it once.
    let users = 2;
    let closed: Promise<void> | undefined;
    const shared: Runtime = Object.freeze({ ...runtime, close: () => ((users -= 1) === 0 ? (closed ??= runtime.close()) : Promise.resolve()) });
    const client = meshOver(shared, clientOptions);
    const server = new MeshServer(shared, { drainDelayMs: 0, drainTimeoutMs: 2000 });
    const close = async () => {
      await client.close();
      await server.close();
    };
    this.#closing.push(close);
    return { runtime, client, server, close };
  }

  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).toReversed()) await close();
    await this.controlPlane.close();
    this.config.remove();
  }
}

/** The YAML of a service (HTTP on 80, gRPC on 50051) whose workloads register themselves under `NAME`. */
export function serviceYaml(name: string, { version = 'v1', groups = [name] }: { version?: string; groups?: readonly string[] } = {}): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec:
  selector: { app: ${name} }
  ports:
    - { name: http, port: 80, targetPort: 8080 }
    - { name: grpc, port: 50051 }
${groups.map((group) => groupYaml(group, name, version)).join('')}`;
}

export function groupYaml(group: string, app: string, version = 'v1', account = app): string {
  return `---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: ${group} }
spec:
  metadata: { labels: { app: ${app}, version: ${version} } }
  template: { serviceAccount: ${account}, ports: { http: 8080, grpc: 50051 } }
`;
}

export const strictYaml = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
`;
