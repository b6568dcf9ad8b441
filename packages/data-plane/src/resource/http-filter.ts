// http_filters and typed_per_filter_config, through the registry of filter factories.
import { fromBinary } from '@weft/xds-api/protobuf';
import type { Any } from '@weft/xds-api/protobuf/wkt';
import { HttpFilterSchema, type HttpFilter } from '@weft/xds-api/http';
import { FilterConfigSchema } from '@weft/xds-api/route';
import { disabledFilter, enabledFilter } from '../filter/filter-override.js';
import type { HttpFilterFactory } from '../filter/http-filter.js';
import { rememberFactories } from './foreign-override.js';
import type { HttpFilterConfig } from './listener-config.js';
import { join, knownFields, type Report } from './report.js';
import type { FilterOverrides } from './route-config.js';
import { messageLookup, unwrapTypedStruct, type MessageLookup } from './typed-struct.js';
import { typeNameOf } from './value.js';

const fields = knownFields(HttpFilterSchema, ['name', 'typed_config', 'is_optional', 'disabled'], [], ['config_discovery']);
const overrideFields = knownFields(FilterConfigSchema, ['config', 'is_optional', 'disabled']);

/** `any`: only looked at, whoever it is for (`weft explain`). */
export type Side = 'client' | 'server' | 'any';

/** Filter factories by the types they read. */
export class HttpFilterRegistry {
  readonly #byType = new Map<string, HttpFilterFactory>();
  /** For configurations that come as TypedStruct. */
  readonly messages: MessageLookup;

  /** @throws {TypeError} where two factories claim a name or a type. */
  constructor(factories: readonly HttpFilterFactory[]) {
    this.messages = messageLookup(factories);
    const names = new Set<string>();
    for (const factory of factories) {
      if (names.has(factory.name)) throw new TypeError(`two HTTP filters are named ${factory.name}`);
      names.add(factory.name);
      for (const typeUrl of factory.typeUrls) {
        const key = nameOf(typeUrl);
        const other = this.#byType.get(key);
        if (other) throw new TypeError(`the HTTP filters ${other.name} and ${factory.name} both read ${key}`);
        this.#byType.set(key, factory);
      }
    }
  }

  get(typeUrl: string): HttpFilterFactory | undefined {
    return this.#byType.get(nameOf(typeUrl));
  }
}

/** gRFC A39: names unique and not empty, the last and only the last filter terminal; what is unknown must say that it is optional. */
export function decodeHttpFilters(filters: readonly HttpFilter[], side: Side, registry: HttpFilterRegistry, path: string, report: Report): HttpFilterConfig[] {
  if (filters.length === 0) report.add(path, 'must not be empty: the router is missing');
  const names = new Set<string>();
  const decoded: HttpFilterConfig[] = [];
  filters.forEach((filter, i) => {
    const at = `${path}[${i}]`;
    report.check(fields, filter, at);
    if (filter.name === '') report.add(join(at, 'name'), 'must not be empty');
    else if (names.has(filter.name)) report.add(join(at, 'name'), `${JSON.stringify(filter.name)} is used twice`);
    names.add(filter.name);
    const config = decodeHttpFilter(filter, side, registry, at, report);
    if (config) decoded.push(config);
  });
  decoded.slice(0, -1).forEach(({ name, factory }) => {
    if (factory.terminal) report.add(path, `the terminal filter ${JSON.stringify(name)} must be the last`);
  });
  const last = decoded.at(-1);
  if (last && !last.factory.terminal) report.add(path, `the last filter must be terminal (the router), is ${JSON.stringify(last.name)}`);
  return decoded;
}

function decodeHttpFilter(filter: HttpFilter, side: Side, registry: HttpFilterRegistry, path: string, report: Report): HttpFilterConfig | undefined {
  if (filter.configType.case !== 'typedConfig') {
    if (!filter.isOptional) report.add(join(path, filter.configType.case === 'configDiscovery' ? 'config_discovery' : 'typed_config'), filter.configType.case ? 'not supported' : 'is required');
    return undefined;
  }
  const typedPath = join(path, 'typed_config');
  const config = unwrapTypedStruct(filter.configType.value, typedPath, registry.messages, report);
  if (!config) return undefined;
  const factory = registry.get(config.typeUrl);
  if (!factory || (side !== 'any' && !factory.sides.includes(side))) {
    if (!filter.isOptional) report.add(typedPath, factory ? `the filter ${factory.name} is not for ${side}s` : `no filter reads ${nameOf(config.typeUrl) || 'an empty type'}`);
    return undefined;
  }
  const parsed = report.attempt(typedPath, () => ({ value: factory.parse(config.typeUrl, config.value) }));
  // Frozen here, so that freezing the listener stops at objects which are the filter's own.
  return parsed && Object.freeze({ name: filter.name, factory, config: parsed.value, disabled: filter.disabled });
}

export interface OlderOverride {
  readonly name: string;
  readonly config: Any;
  readonly path: string;
}

const noOverrides: FilterOverrides = new Map();

/** By filter name. An override that no filter reads is refused too, unless FilterConfig says that it is optional. `older`: one that stands in a field of its own. */
export function decodeFilterOverrides(configs: { readonly [name: string]: Any }, registry: HttpFilterRegistry, path: string, report: Report, older?: OlderOverride): FilterOverrides {
  const names = Object.keys(configs);
  if (older && !configs[older.name]) names.push(older.name);
  if (names.length === 0) return noOverrides;
  const overrides = new Map<string, unknown>();
  const factories = new Map<string, HttpFilterFactory>();
  rememberFactories(overrides, factories);
  for (const name of names) {
    const at = configs[name] || !older ? `${path}[${JSON.stringify(name)}]` : older.path;
    let any = (configs[name] ?? older?.config) as Any;
    let optional = false;
    if (typeNameOf(any) === FilterConfigSchema.typeName) {
      const bytes = any.value;
      const wrapper = report.attempt(at, () => fromBinary(FilterConfigSchema, bytes));
      if (!wrapper) continue;
      report.check(overrideFields, wrapper, at);
      if (wrapper.disabled || !wrapper.config) {
        overrides.set(name, wrapper.disabled ? disabledFilter : enabledFilter);
        continue;
      }
      any = wrapper.config;
      optional = wrapper.isOptional;
    }
    const config = unwrapTypedStruct(any, at, registry.messages, report);
    if (!config) continue;
    const factory = registry.get(config.typeUrl);
    if (!factory) {
      if (!optional) report.add(at, `no filter reads ${nameOf(config.typeUrl) || 'an empty type'}`);
      continue;
    }
    const parsed = report.attempt(at, () => ({ value: (factory.parseOverride ?? factory.parse).call(factory, config.typeUrl, config.value) }));
    if (!parsed) continue;
    overrides.set(name, parsed.value);
    factories.set(name, factory);
  }
  return overrides;
}

function nameOf(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
}
