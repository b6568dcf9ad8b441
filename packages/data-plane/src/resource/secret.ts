import { fromBinary } from '@weft/xds-api/protobuf';
import { CertificateValidationContextSchema, SecretSchema } from '@weft/xds-api/tls';
import { typeUrl } from '@weft/xds-api';
import type { ResourceType } from '../xds/resource-type.js';
import { knownFields, Report } from './report.js';
import type { SecretConfig } from './secret-config.js';
import { decodeTrustedCa } from './tls.js';

const fields = knownFields(SecretSchema, ['name', 'validation_context']);
const validationFields = knownFields(CertificateValidationContextSchema, ['trusted_ca']);

/** Trusted roots over SDS (`ROOTCA`). */
export const secretType: ResourceType<SecretConfig> = {
  typeUrl: typeUrl(SecretSchema),
  name: 'Secret',
  fullState: false,
  decode(value) {
    const secret = fromBinary(SecretSchema, value);
    const report = new Report();
    report.check(fields, secret, '');
    let pem: string | undefined;
    if (secret.type.case === 'validationContext') {
      report.check(validationFields, secret.type.value, 'validation_context');
      pem = decodeTrustedCa(secret.type.value, 'validation_context.trusted_ca', report).trustedCaPem;
    }
    if (pem === undefined) report.add('validation_context.trusted_ca', 'inline_string or inline_bytes is required');
    report.finish(`Secret ${secret.name}`);
    return { name: secret.name, resource: Object.freeze({ name: secret.name, trustedCaPem: pem as string }) };
  },
};
