// The SPIFFE Workload API.
export * from './gen/spiffe/workload_pb.js';
