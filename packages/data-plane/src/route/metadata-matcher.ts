// envoy.type.matcher.v3.MetadataMatcher over the dynamic metadata that filters left, and the value matchers below it.
import type { MetadataMatcherConfig, ValueMatcherConfig } from '../resource/matcher-config.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { compileStringMatcher } from './string-matcher.js';

/** Throws where a regex is not RE2. */
export function compileMetadataMatcher({ filter, path, value, invert }: MetadataMatcherConfig): (info: StreamInfo) => boolean {
  const test = compileValueMatcher(value);
  return (info) => test(metadataValue(info, filter, path)) !== invert;
}

/** `undefined` where it is not there. */
export function metadataValue(info: StreamInfo, filter: string, path: readonly string[]): unknown {
  let value: unknown = info.metadata?.get(filter);
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

function compileValueMatcher(config: ValueMatcherConfig): (value: unknown) => boolean {
  switch (config.kind) {
    case 'null': return (value) => value === null;
    case 'number': return (value) => typeof value === 'number' && value >= config.start && (value < config.end || value === config.start);
    case 'string': {
      const test = compileStringMatcher(config.matcher);
      return (value) => typeof value === 'string' && test(value);
    }
    case 'bool': return (value) => value === config.value;
    case 'present': return (value) => config.present && value !== undefined;
    case 'one-of': {
      const test = compileValueMatcher(config.value);
      return (value) => Array.isArray(value) && value.some(test);
    }
    case 'any-of': {
      const tests = config.values.map(compileValueMatcher);
      return (value) => tests.some((test) => test(value));
    }
  }
}
