// What WorkloadEntry, the endpoints of a ServiceEntry and a WorkloadGroup's template have in common.
import { noLocality, type Locality } from '../../../model/workload.js';
import type { Fields } from '../../fields.js';

export interface WorkloadFields {
  address: string;
  ports: Record<string, number>;
  labels: Record<string, string>;
  serviceAccount?: string;
  locality: Locality;
  weight?: number;
  network: string;
}

export function readWorkloadFields(fields: Fields): WorkloadFields {
  const address = fields.string('address') ?? '';
  const labels = fields.labels('labels');
  const ports = fields.object('ports');
  const serviceAccount = fields.string('serviceAccount');
  const weight = fields.integer('weight');
  const read: WorkloadFields = {
    address,
    ports: Object.fromEntries(ports?.keys().flatMap((name) => { const port = ports.port(name); return port === undefined ? [] : [[name, port]]; }) ?? []),
    labels,
    locality: parseLocality(fields.string('locality') ?? labels['istio-locality']?.replaceAll('.', '/') ?? ''),
    network: fields.string('network') ?? '',
    ...(serviceAccount && { serviceAccount }),
    ...(weight && { weight }),
  };
  if (read.network) fields.warn('network', 'is not implemented: all addresses are taken to be reachable');
  fields.finish();
  return read;
}

/** `region/zone/subzone`, each part optional from the right. */
export function parseLocality(text: string): Locality {
  if (text === '') return noLocality;
  const [region = '', zone = '', subZone = ''] = text.split('/');
  return { region, zone, subZone };
}
