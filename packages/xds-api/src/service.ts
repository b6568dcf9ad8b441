// From a generated service to the service definition that @grpc/grpc-js takes.
import { create, fromBinary, toBinary, type DescMessage, type DescService, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';

/** One method as @grpc/grpc-js describes it; structural, so that this package does not depend on grpc-js. */
export interface MethodDefinition<Request, Response> {
  path: string;
  requestStream: boolean;
  responseStream: boolean;
  requestSerialize(value: Request): Buffer;
  requestDeserialize(bytes: Buffer): Request;
  responseSerialize(value: Response): Buffer;
  responseDeserialize(bytes: Buffer): Response;
  originalName: string;
}

type Request<M> = M extends { input: infer I extends DescMessage } ? MessageShape<I> & MessageInitShape<I> : never;
type Response<M> = M extends { output: infer O extends DescMessage } ? MessageShape<O> & MessageInitShape<O> : never;

/** The definition of a service: its methods by local name (`createCertificate`). */
export type ServiceDefinition<S extends DescService> = {
  [K in keyof S['method'] & string]: MethodDefinition<Request<S['method'][K]>, Response<S['method'][K]>>;
};

/** Makes the definition that `server.addService` and `makeGenericClientConstructor` of @grpc/grpc-js take. */
export function serviceDefinition<S extends DescService>(service: S): ServiceDefinition<S> {
  const codec = (schema: DescMessage) => ({
    write: (value: unknown) => Buffer.from(toBinary(schema, create(schema, value as never) as never)),
    read: (bytes: Buffer) => fromBinary(schema, bytes),
  });
  return Object.fromEntries(
    service.methods.map((method) => {
      const input = codec(method.input);
      const output = codec(method.output);
      return [
        method.localName,
        {
          path: `/${service.typeName}/${method.name}`,
          requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
          responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
          requestSerialize: input.write,
          requestDeserialize: input.read,
          responseSerialize: output.write,
          responseDeserialize: output.read,
          originalName: method.localName,
        },
      ];
    }),
  ) as unknown as ServiceDefinition<S>;
}
