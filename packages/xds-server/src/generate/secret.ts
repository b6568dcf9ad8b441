import { SecretSchema } from '@weft/xds-api/tls';
import type { GenerateContext, GeneratedResource } from './generator.js';
import { encode } from './message.js';

/** The trusted roots; clients with an identity follow them through a rotation. Key pairs are never served. */
export const rootSecretName = 'ROOTCA';

export function secret(context: GenerateContext, name: string): GeneratedResource | undefined {
  if (name !== rootSecretName) return undefined;
  const authorities = context.authorities();
  if (authorities.length === 0) return undefined;
  const inlineString = authorities.map((pem) => (pem.endsWith('\n') ? pem : `${pem}\n`)).join('');
  return encode(SecretSchema, {
    name,
    type: { case: 'validationContext', value: { trustedCa: { specifier: { case: 'inlineString', value: inlineString } } } },
  });
}
