// Small pieces every generator writes: encoded resources, extensions by name and type, durations, percentages.
import { create, toBinary, type DescMessage, type MessageInitShape, type MessageShape } from '@weft/xds-api/protobuf';
import type { Any } from '@weft/xds-api/protobuf/wkt';
import { packAny, typeUrl } from '@weft/xds-api';
import { ApiVersion, FractionalPercent_DenominatorType, type ConfigSourceSchema, type FractionalPercentSchema } from '@weft/xds-api/core';
import type { GeneratedResource } from './generator.js';

/** What a message is made from: plain fields, never a message object, so that pieces can be spread together. */
export type Init<T extends DescMessage> = Extract<MessageInitShape<T>, { readonly $typeName?: never }>;

export function encode<T extends DescMessage>(schema: T, init: MessageInitShape<T>): GeneratedResource {
  return { typeUrl: typeUrl(schema), value: toBinary(schema, create(schema, init) as MessageShape<T>) };
}

/** A filter, transport socket or other extension that is a name and a typed config. */
export function extension<T extends DescMessage>(
  name: string,
  schema: T,
  init: MessageInitShape<T>,
): { name: string; configType: { case: 'typedConfig'; value: Any } } {
  return { name, configType: { case: 'typedConfig', value: packAny(schema, init) } };
}

export function duration(milliseconds: number): { seconds: bigint; nanos: number } {
  const nanos = Math.round(milliseconds * 1e6);
  return { seconds: BigInt(Math.trunc(nanos / 1e9)), nanos: nanos % 1e9 };
}

/** 0 to 100 in parts per million, as Istio writes percentages: nothing of `0.001` is lost. */
export function fraction(percent: number): Init<typeof FractionalPercentSchema> {
  return { numerator: Math.round(percent * 10_000), denominator: FractionalPercent_DenominatorType.MILLION };
}

/** `ads` everywhere: gRPC servers written in Go refuse `self`. */
export const overAds = {
  configSourceSpecifier: { case: 'ads', value: {} },
  resourceApiVersion: ApiVersion.V3,
} as const satisfies Init<typeof ConfigSourceSchema>;

export function socketAddress(address: string, port: number) {
  return { address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } } } as const;
}
