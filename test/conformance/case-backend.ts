// The other end of a case: remembers what it was asked and answers as the request says.
import { createServer, type RequestListener, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import grpc from '@grpc/grpc-js';
import { echoService } from '../support/echo-servers.js';
import { encode } from './coding.js';
import type { BackendAnswer, Outcome } from './conformance-case.js';

/** The request header that holds a {@link BackendAnswer} as JSON. */
export const answerHeader = 'x-case-answer';

export class CaseBackend {
  /** Requests that came, the newest last. */
  readonly seen: NonNullable<Outcome['seen']>[] = [];
  #before = 0;

  /** An exchange starts; returns what it will have seen. */
  begin(): () => NonNullable<Outcome['seen']>[] {
    const before = this.seen.length;
    this.#before = before;
    return () => this.seen.slice(before);
  }

  readonly http: RequestListener = (incoming, response) => {
    const headers = Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]));
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const answer = this.#take(incoming.url ?? '', headers, Buffer.concat(chunks));
      if (answer.instead === 'reset') incoming.socket.destroy();
      if (answer.instead !== undefined) return;
      const body = encode(answer.body ?? (answer.length === undefined ? 'backend' : 'b'.repeat(answer.length)), answer.coding);
      response.writeHead(answer.status ?? 200, { 'content-type': 'text/plain', ...answer.headers, ...(!answer.chunked && { 'content-length': String(body.length) }) });
      if (answer.chunked) response.write(body.subarray(0, 1));
      response.end(answer.chunked ? body.subarray(1) : body);
    });
  };

  /** @param options of a mesh, where it is a server in one. */
  grpc(options: grpc.ServerOptions = {}): grpc.Server {
    const server = new grpc.Server(options);
    server.addService(echoService as unknown as grpc.ServiceDefinition, {
      Echo: (call: grpc.ServerUnaryCall<unknown, unknown>, reply: grpc.sendUnaryData<unknown>) => {
        const answer = this.#take(call.getPath(), Object.fromEntries(Object.entries(call.metadata.getMap()).map(([name, value]) => [name, String(value)])));
        if (answer.instead !== undefined) return;
        const metadata = new grpc.Metadata();
        for (const [name, value] of Object.entries(answer.headers ?? {})) metadata.add(name, value);
        if (answer.trailersOnly !== true) call.sendMetadata(metadata);
        if (answer.grpcStatus) reply({ code: answer.grpcStatus, details: 'backend', ...(answer.trailersOnly === true && { metadata }) });
        else reply(null, 'backend');
      },
    });
    return server;
  }

  #take(path: string, headers: Record<string, string>, body?: Buffer): BackendAnswer {
    const { [answerHeader]: answer = '{}', ...rest } = headers;
    this.seen.push({ path, headers: rest, ...(body && { body }) });
    const answers = [JSON.parse(answer) as BackendAnswer | BackendAnswer[]].flat();
    return answers[Math.min(this.seen.length - this.#before, answers.length) - 1]!;
  }
}

export interface PlainBackend {
  readonly port: number;
  close(): Promise<void>;
}

export async function listenHttp(handler: RequestListener): Promise<PlainBackend> {
  const server: Server = createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export async function listenGrpc(server: grpc.Server): Promise<PlainBackend> {
  const port = await new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
  return { port, close: async () => server.forceShutdown() };
}
