// The hand-written messages of servers against the generated ones.
import { create, fromBinary, toBinary } from '@weft/xds-api/protobuf';
import { OrcaLoadReportRequestSchema, OrcaLoadReportSchema } from '@weft/xds-api/orca';
import { expect, it } from 'vitest';
import { decodeReportInterval, encodeLoadReport } from '../inbound/load-report-encoding.js';

it('load reports are what the generated code reads', () => {
  const encoded = encodeLoadReport({ cpuUtilization: 0.125, applicationUtilization: 0.75, rps: 12.5, eps: 0, utilization: { disk: 0.25 }, named: { queue: 7, none: 0 } });
  expect(fromBinary(OrcaLoadReportSchema, encoded)).toMatchObject({ cpuUtilization: 0.125, applicationUtilization: 0.75, rpsFractional: 12.5, eps: 0, utilization: { disk: 0.25 }, namedMetrics: { queue: 7, none: 0 } });
});

it('requests for reports say how often', () => {
  const request = (init: object) => toBinary(OrcaLoadReportRequestSchema, create(OrcaLoadReportRequestSchema, init));
  expect(decodeReportInterval(request({ reportInterval: { seconds: 2n, nanos: 500_000_000 }, requestCostNames: ['x'] }))).toBe(2500);
  expect(decodeReportInterval(request({}))).toBe(0);
  expect(() => decodeReportInterval(new Uint8Array([0x0a, 9]))).toThrow(/ends within/);
});
