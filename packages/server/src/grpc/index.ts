export { grpcOptions } from './grpc-options.js';
