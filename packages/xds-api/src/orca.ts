// Load reports of backends.
export * from './gen/xds/data/orca/v3/orca_load_report_pb.js';
export * from './gen/xds/service/orca/v3/orca_pb.js';
