// Istio's metadata exchange: each side tells the other in two headers which workload it is.
import { fromBinary, fromJson, toBinary, toJson, type JsonObject } from '@weft/xds-api/protobuf';
import { StructSchema } from '@weft/xds-api/protobuf/wkt';
import type { WorkloadInfo } from '../stream/stream-info.js';

export const peerMetadataHeader = 'x-envoy-peer-metadata';
export const peerMetadataIdHeader = 'x-envoy-peer-metadata-id';

// Our own is about 300 bytes. A longer one is not worth decoding.
const longestHeader = 8192;
const knownHeaders = 1000;

/** The header's value: base64 of a Struct with the keys that Istio's proxies read. */
export function encodePeerMetadata(workload: WorkloadInfo): string {
  const labels = { 'service.istio.io/canonical-name': workload.canonicalService, 'service.istio.io/canonical-revision': workload.canonicalRevision };
  const struct = fromJson(StructSchema, { NAME: workload.name, WORKLOAD_NAME: workload.name, NAMESPACE: workload.namespace, CLUSTER_ID: workload.cluster, LABELS: labels });
  return Buffer.from(toBinary(StructSchema, struct)).toString('base64');
}

interface Known {
  readonly header: string;
  readonly claimed: WorkloadInfo | undefined;
  /** The same with the namespace of the certificate it came with last. */
  corrected?: WorkloadInfo;
}

/** Decodes headers of peers, each distinct one once, so that every request of a workload is given the same object. */
export class PeerMetadataReader {
  readonly #known = new Map<string, Known>();
  // Most often it is the peer that also sent the request before: comparing is cheaper than hashing a text of that length.
  #last: Known | undefined;

  /**
   * Undefined where it says nothing that can be read. `namespace`: the one in the peer's certificate; a workload may say its name, not
   * where it lives.
   */
  read(header: string, namespace?: string): WorkloadInfo | undefined {
    if (header.length > longestHeader) return undefined;
    const known = this.#last?.header === header ? this.#last : (this.#last = this.#find(header));
    const { claimed, corrected } = known;
    if (!claimed || namespace === undefined || claimed.namespace === namespace) return claimed;
    return corrected?.namespace === namespace ? corrected : (known.corrected = Object.freeze({ ...claimed, namespace }));
  }

  #find(header: string): Known {
    let known = this.#known.get(header);
    if (!known) {
      known = { header, claimed: decode(header) };
      // Peers choose the header: forget the oldest instead of growing.
      if (this.#known.size >= knownHeaders) this.#known.delete(this.#known.keys().next().value as string);
      this.#known.set(header, known);
    }
    return known;
  }
}

function decode(header: string): WorkloadInfo | undefined {
  let fields: JsonObject;
  try {
    fields = toJson(StructSchema, fromBinary(StructSchema, Buffer.from(header, 'base64'))) as JsonObject;
  } catch {
    return undefined;
  }
  const labels = (typeof fields['LABELS'] === 'object' && fields['LABELS'] !== null ? fields['LABELS'] : {}) as JsonObject;
  const name = text(fields['WORKLOAD_NAME']) || text(fields['NAME']);
  return Object.freeze({
    name,
    namespace: text(fields['NAMESPACE']),
    canonicalService: text(labels['service.istio.io/canonical-name']) || text(labels['app.kubernetes.io/name']) || text(labels['app']) || name,
    canonicalRevision: text(labels['service.istio.io/canonical-revision']) || text(labels['app.kubernetes.io/version']) || text(labels['version']) || 'latest',
    cluster: text(fields['CLUSTER_ID']),
  });
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, 253) : '';
}
