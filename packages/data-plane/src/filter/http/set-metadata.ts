// envoy.filters.http.set_metadata: fixed dynamic metadata for every request.
import { fromBinary } from '@weft/xds-api/protobuf';
import { typeUrl } from '@weft/xds-api';
import { SetMetadata_MetadataSchema, SetMetadataSchema } from '@weft/xds-api/filter-headers';
import { deepFreeze } from '../../resource/freeze.js';
import { knownFields, Report } from '../../resource/report.js';
import { mergeMetadata, type MetadataValues } from '../dynamic-metadata.js';
import type { HttpFilterFactory, StreamFilter } from '../http-filter.js';

interface Entry {
  namespace: string;
  allowOverwrite: boolean;
  values: MetadataValues;
}

const fields = knownFields(SetMetadataSchema, ['metadata_namespace', 'value', 'metadata']);
const entryFields = knownFields(SetMetadata_MetadataSchema, ['metadata_namespace', 'allow_overwrite', 'value'], [], ['typed_value']);

export const setMetadata: HttpFilterFactory<readonly Entry[]> = {
  name: 'envoy.filters.http.set_metadata',
  typeUrls: [typeUrl(SetMetadataSchema)],
  messages: [SetMetadataSchema],
  sides: ['client', 'server'],
  parse(_typeUrl, value) {
    const message = fromBinary(SetMetadataSchema, value);
    const report = new Report();
    report.check(fields, message, '');
    const entries: Entry[] = [];
    // The older form, which always overwrites.
    if (message.value && message.metadataNamespace !== '') entries.push({ namespace: message.metadataNamespace, allowOverwrite: true, values: message.value });
    message.metadata.forEach((entry, i) => {
      const path = `metadata[${i}]`;
      report.check(entryFields, entry, path);
      if (entry.metadataNamespace === '') report.add(`${path}.metadata_namespace`, 'must not be empty');
      // Nothing reads typed metadata in a process.
      if (entry.typedValue) report.unsupported(`${path}.typed_value`);
      entries.push({ namespace: entry.metadataNamespace, allowOverwrite: entry.allowOverwrite, values: entry.value ?? {} });
    });
    report.finish('set_metadata.Config');
    return deepFreeze(entries);
  },
  create: () => ({ forRoute: (config, override) => forRoute(override ?? config) }),
};

function forRoute(entries: readonly Entry[]): (() => StreamFilter) | undefined {
  if (entries.length === 0) return undefined;
  const filter: StreamFilter = {
    decodeHeaders(_head, info) {
      const metadata = (info.metadata ??= new Map());
      for (const { namespace, allowOverwrite, values } of entries) {
        const before = metadata.get(namespace);
        if (!before) metadata.set(namespace, values);
        else if (allowOverwrite) metadata.set(namespace, mergeMetadata(before, values));
      }
      return undefined;
    },
  };
  return () => filter;
}
