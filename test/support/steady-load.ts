// Requests all the time, over HTTP and gRPC, while a test does something to the mesh.
import grpc from '@grpc/grpc-js';
import type { TestWorkload } from './test-mesh.js';

export class SteadyLoad {
  readonly failures: string[] = [];
  completed = 0;
  #running = true;
  readonly #loops: Promise<void>[] = [];

  constructor(caller: TestWorkload, { url, target, workers = 4 }: { url: string; target?: string; workers?: number }) {
    for (let i = 0; i < workers; i += 1) this.#loops.push(this.#loop(() => http(caller, url)));
    if (target !== undefined) {
      const client = new grpc.Client(target, grpc.credentials.createInsecure(), caller.client.grpc());
      for (let i = 0; i < workers; i += 1) this.#loops.push(this.#loop(() => rpc(client)));
    }
  }

  async #loop(once: () => Promise<string | undefined>): Promise<void> {
    while (this.#running) {
      const failure = await once();
      if (failure === undefined) this.completed += 1;
      else this.failures.push(failure);
      // Other work of this process (control plane, servers) must get its turns too.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#loops);
  }
}

async function http(caller: TestWorkload, url: string): Promise<string | undefined> {
  try {
    const { statusCode, body } = await caller.client.request(url);
    const text = await body.text();
    return statusCode === 200 ? undefined : `${statusCode} ${text}`;
  } catch (error) {
    return String(error);
  }
}

function rpc(client: grpc.Client): Promise<string | undefined> {
  const same = (bytes: Buffer) => bytes;
  return new Promise((resolve) =>
    client.makeUnaryRequest('/test.Echo/Echo', same, same, Buffer.from('{}'), { deadline: Date.now() + 10_000 }, (error) => resolve(error ? `${error.code} ${error.details}` : undefined)),
  );
}
