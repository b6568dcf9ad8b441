// What the control plane makes for Weft's own clients and servers, Weft's decoders accept: every golden case, field by field.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { resourceChecker } from '@weft/data-plane/explain';
import { resourceTypes, typeUrls } from '@weft/xds-server';
import { fromJson, toBinary, type JsonValue } from '@weft/xds-api/protobuf';
import { allTypes } from '@weft/xds-api/registry';

const folder = new URL('../../packages/xds-server/src/generate/golden/', import.meta.url);
describe.each(readdirSync(folder).filter((name) => name.endsWith('.json')))('%s', (file) => {
  const { weft } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as { weft: Record<string, Record<string, JsonValue>> };
  const check = resourceChecker();
  const registry = allTypes();

  it.each(resourceTypes.filter((type) => weft[type] !== undefined))('%s resources are accepted', (type) => {
    const schema = registry.getMessage(typeUrls[type].slice('type.googleapis.com/'.length))!;
    const refused = Object.entries(weft[type]!).flatMap(([name, json]) =>
      check(typeUrls[type], toBinary(schema, fromJson(schema, json, { registry }))).map(({ path, reason }) => `${name}: ${path}: ${reason}`));
    expect(refused).toEqual([]);
  });
});
