import { Server, ServerCredentials, status, Metadata, type handleBidiStreamingCall, type handleClientStreamingCall, type handleServerStreamingCall, type handleUnaryCall, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';

const identity = (message: Buffer) => message;
const method = (path: string, requestStream: boolean, responseStream: boolean) => ({ path, requestStream, responseStream, requestSerialize: identity, requestDeserialize: identity, responseSerialize: identity, responseDeserialize: identity });

/** A service over plain bytes, with all four kinds of methods. */
export const echoService = {
  Unary: method('/test.Echo/Unary', false, false),
  ClientStream: method('/test.Echo/ClientStream', true, false),
  ServerStream: method('/test.Echo/ServerStream', false, true),
  Bidi: method('/test.Echo/Bidi', true, true),
} satisfies ServiceDefinition;

export interface EchoServer {
  readonly port: number;
  readonly calls: string[];
  /** Metadata of the last call. */
  readonly metadata: Metadata;
  close(): void;
}

export interface EchoOptions {
  /** Answers calls with only trailers of that status, while it returns one. */
  fail?: () => number | undefined;
  /** Unary calls are never answered. */
  hang?: boolean;
  /** Unary calls are answered when it calls what it is given. */
  hold?: (answer: () => void) => void;
  onMessage?: (method: string, message: string) => void;
  credentials?: ServerCredentials;
  port?: number;
  /** Longest message the server takes. Default grpc-js's 4 MiB. */
  maxMessageBytes?: number;
}

export async function echoServer(options: EchoOptions = {}): Promise<EchoServer> {
  const state = { calls: [] as string[], metadata: new Metadata() };
  const failing = (name: string, metadata: Metadata) => {
    state.calls.push(name);
    state.metadata = metadata;
    const code = options.fail?.();
    return code === undefined ? undefined : { code, details: `failed with ${code}` };
  };
  const unary: handleUnaryCall<Buffer, Buffer> = (call, callback) => {
    const failure = failing('Unary', call.metadata);
    if (failure) return callback(failure);
    options.onMessage?.('Unary', String(call.request));
    if (options.hang || String(call.request) === 'hang') return;
    if (options.hold) return options.hold(() => callback(null, call.request));
    call.sendMetadata(Metadata.fromHttp2Headers({ 'x-initial': 'a', 'x-bin-bin': Buffer.from([1, 2]).toString('base64') }));
    callback(null, call.request, Metadata.fromHttp2Headers({ 'x-trailer': 'z' }));
  };
  const clientStream: handleClientStreamingCall<Buffer, Buffer> = (call, callback) => {
    const failure = failing('ClientStream', call.metadata);
    const chunks: Buffer[] = [];
    call.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => (failure ? callback(failure) : callback(null, Buffer.from(chunks.join(',')))));
  };
  const serverStream: handleServerStreamingCall<Buffer, Buffer> = (call) => {
    const failure = failing('ServerStream', call.metadata);
    if (failure) return void call.emit('error', failure);
    for (const part of String(call.request).split(',')) call.write(Buffer.from(part));
    call.end();
  };
  const bidi: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    const failure = failing('Bidi', call.metadata);
    if (failure) return void call.emit('error', failure);
    call.on('data', (chunk: Buffer) => {
      options.onMessage?.('Bidi', String(chunk));
      call.write(chunk);
    }).on('end', () => call.end());
  };
  const server = new Server(options.maxMessageBytes === undefined ? {} : { 'grpc.max_receive_message_length': options.maxMessageBytes });
  server.addService(echoService, { Unary: unary, ClientStream: clientStream, ServerStream: serverStream, Bidi: bidi } as UntypedServiceImplementation);
  const port = await new Promise<number>((resolve, reject) => server.bindAsync(`127.0.0.1:${options.port ?? 0}`, options.credentials ?? ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
  return { port, get calls() { return state.calls; }, get metadata() { return state.metadata; }, close: () => server.forceShutdown() };
}

export { status };
