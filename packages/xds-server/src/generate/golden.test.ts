// YAML in, what each kind of client gets out. After a wanted change: WEFT_UPDATE_GOLDEN=1, and read the difference.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { builtinKinds } from '../config/builtin.js';
import { ConfigPipeline } from '../config/config-pipeline.js';
import { MeshModel } from '../model/mesh-model.js';
import { parseConfigFile } from '../source/config-file.js';
import { contextOfModel, generateJson, type Json, type TestContext } from './fixture.js';
import { resourceTypes, type Profile } from './generator.js';
import { lintForGrpc } from './lint.js';
import { envoyProfile } from './profile/envoy.js';
import { grpcProfile } from './profile/grpc.js';
import { weftProfile } from './profile/weft.js';

const folder = new URL('golden/', import.meta.url);
const cases = readdirSync(folder).filter((name) => name.endsWith('.yaml')).map((name) => name.slice(0, -'.yaml'.length)).sort();

/** Makes the same client for every case. */
function contextFor(name: string): TestContext {
  const text = readFileSync(new URL(`${name}.yaml`, folder), 'utf8');
  const { objects, problems } = parseConfigFile(`${name}.yaml`, text, 'golden');
  const model = new MeshModel();
  const pipeline = new ConfigPipeline({ kinds: builtinKinds, model });
  pipeline.replace(`${name}.yaml`, objects, problems);
  expect(pipeline.rejected()).toEqual([]);
  return contextOfModel(model, {
    node: { namespace: 'default', serviceAccount: 'client', labels: { app: 'client' }, locality: { region: 'eu', zone: 'eu-1', subZone: 'a' }, addresses: ['10.0.0.9'] },
  });
}

function everything(profile: Profile, name: string): Json {
  const context = contextFor(name);
  const resources: Json = {};
  for (const type of resourceTypes) {
    for (const resource of profile.names(type, context)) {
      const json = generateJson(profile, type, resource, context);
      if (json !== undefined) (resources[type] ??= {})[resource] = json;
    }
  }
  return { ...resources, warnings: [...new Set(context.warnings)] };
}

describe.each(cases)('golden case %s', (name) => {
  it('is what it was', () => {
    const actual = Object.fromEntries([weftProfile, grpcProfile, envoyProfile].map((profile) => [profile.name, everything(profile, name)]));
    const file = new URL(`${name}.json`, folder);
    if (process.env['WEFT_UPDATE_GOLDEN']) writeFileSync(file, `${JSON.stringify(actual, null, 1)}\n`);
    expect(actual).toEqual(JSON.parse(readFileSync(file, 'utf8')));
  });

  it('is acceptable to gRPC', () => {
    const { warnings: _, ...resources } = everything(grpcProfile, name);
    for (const type of resourceTypes) {
      for (const [resource, json] of Object.entries<Json>(resources[type] ?? {})) expect(lintForGrpc(type, json), resource).toEqual([]);
    }
  });

  it('lets gRPC clients wait for no cluster, other than one withheld by name', () => {
    const { warnings, route = {} } = everything(grpcProfile, name);
    const context = contextFor(name);
    const actions = Object.values<Json>(route).flatMap((config) => config.virtualHosts.flatMap((host: Json) => host.routes.map((one: Json) => one.route)));
    const clusters = new Set<string>(actions.flatMap(({ cluster, weightedClusters }) => (weightedClusters ? weightedClusters.clusters.map((entry: Json) => entry.name) : [cluster])));
    expect(clusters.size).toBeGreaterThan(0);
    for (const cluster of clusters) {
      const withheld = warnings.some((warning: string) => warning.includes(`${cluster}: withheld`));
      expect(grpcProfile.generate('cluster', cluster, context) !== undefined, cluster).toBe(!withheld);
    }
  });

  it('has the same bytes every time', () => {
    for (const profile of [weftProfile, grpcProfile, envoyProfile]) {
      const [first, second] = [contextFor(name), contextFor(name)];
      for (const type of resourceTypes) {
        expect(profile.names(type, second)).toEqual(profile.names(type, first));
        for (const resource of profile.names(type, first)) expect(profile.generate(type, resource, second), resource).toEqual(profile.generate(type, resource, first));
      }
    }
  });
});
