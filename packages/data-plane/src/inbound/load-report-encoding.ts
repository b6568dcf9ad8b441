// xds.data.orca.v3.OrcaLoadReport and the request for a stream of them, by hand: a server that only reports must not load descriptors.

export interface LoadMetrics {
  readonly cpuUtilization: number;
  readonly applicationUtilization: number;
  readonly rps: number;
  readonly eps: number;
  readonly utilization: Readonly<Record<string, number>>;
  readonly named: Readonly<Record<string, number>>;
}

export function encodeLoadReport({ cpuUtilization, applicationUtilization, rps, eps, utilization, named }: LoadMetrics): Uint8Array {
  return Buffer.concat([
    double(1, cpuUtilization),
    ...entries(5, utilization),
    double(6, rps),
    double(7, eps),
    ...entries(8, named),
    double(9, applicationUtilization),
  ]);
}

/** `report_interval` of an OrcaLoadReportRequest, ms; 0 where it says none. Throws where it is not such a message. */
export function decodeReportInterval(bytes: Uint8Array): number {
  for (const [field, value] of fieldsOf(bytes)) {
    if (field !== 1 || typeof value === 'number') continue;
    const duration = new Map(fieldsOf(value));
    const [seconds, nanos] = [duration.get(1) ?? 0, duration.get(2) ?? 0];
    return typeof seconds === 'number' && typeof nanos === 'number' ? seconds * 1000 + nanos / 1e6 : 0;
  }
  return 0;
}

function* fieldsOf(bytes: Uint8Array): Generator<[field: number, value: number | Uint8Array]> {
  let at = 0;
  const varint = (): number => {
    let result = 0;
    for (let factor = 1; at < bytes.length; factor *= 128) {
      const byte = bytes[at++] as number;
      result += (byte & 0x7f) * factor;
      if (byte < 0x80) return result;
    }
    throw new RangeError('the message ends within a number');
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag % 8 === 0) yield [tag >> 3, varint()];
    else if (tag % 8 === 2) {
      const length = varint();
      if (at + length > bytes.length) throw new RangeError('the message ends within a field');
      yield [tag >> 3, bytes.subarray(at, (at += length))];
    } else throw new RangeError(`wire type ${tag % 8} is not expected`);
  }
}

function double(field: number, value: number): Buffer {
  if (value === 0) return Buffer.alloc(0);
  const bytes = Buffer.alloc(9);
  bytes[0] = field * 8 + 1;
  bytes.writeDoubleLE(value, 1);
  return bytes;
}

function entries(field: number, values: Readonly<Record<string, number>>): Buffer[] {
  return Object.entries(values).map(([name, value]) => {
    const key = Buffer.from(name);
    const entry = Buffer.concat([Buffer.from([0x0a, key.length]), key, double(2, value)]);
    return Buffer.concat([Buffer.from([field * 8 + 2, entry.length]), entry]);
  });
}
