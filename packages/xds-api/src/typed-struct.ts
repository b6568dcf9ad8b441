// Structs that stand for typed messages.
export * from './gen/xds/type/v3/typed_struct_pb.js';
