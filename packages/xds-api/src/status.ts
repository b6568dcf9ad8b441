// Client status (CSDS) and load reports (LRS).
export * from './gen/envoy/service/status/v3/csds_pb.js';
export * from './gen/envoy/service/load_stats/v3/lrs_pb.js';
