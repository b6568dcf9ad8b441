// A discovery service over a real model, with resources given as texts: what the tests of the protocol need.
import { ServerCredentials } from '@grpc/grpc-js';
import type { Clock, Logger } from '@weft/spiffe';
import type { Profile, ProfileName, ResourceType } from '../generate/generator.js';
import { typeUrls } from '../generate/generator.js';
import { ResourceGraph } from '../generate/resource-graph.js';
import { MeshModel } from '../model/mesh-model.js';
import { DiscoveryService } from './ads-service.js';
import type { StreamLimits } from './admission.js';
import type { StreamObserver } from './client-stream.js';
import { listenGrpc } from './grpc-listener.js';

export interface TestServer {
  readonly model: MeshModel;
  readonly graph: ResourceGraph;
  readonly discovery: DiscoveryService;
  readonly address: string;
  /** Sets resources by `type/name`; undefined removes. All of one call are one change. */
  set(resources: Readonly<Record<`${ResourceType}/${string}`, string | undefined>>): void;
  close(): Promise<void>;
}

export interface TestServerOptions {
  profiles?: Partial<Record<ProfileName, Profile>>;
  credentials?: ServerCredentials;
  observer?: StreamObserver;
  clock?: Clock;
  logger?: Logger;
  limits?: Partial<StreamLimits>;
}

/** Serves only raw resources; wildcards are for Envoy. */
export function rawProfile(name: ProfileName): Profile {
  return { name, wildcard: name === 'envoy', generate: () => undefined, names: () => [] };
}

export async function startDiscovery({ profiles, credentials, ...options }: TestServerOptions = {}): Promise<TestServer> {
  const model = new MeshModel();
  const graph = new ResourceGraph({ model, ...(options.logger && { logger: options.logger }) });
  const all = { weft: rawProfile('weft'), grpc: rawProfile('grpc'), envoy: rawProfile('envoy'), ...profiles };
  const discovery = new DiscoveryService({ graph, profiles: all, trustDomain: 'cluster.local', ...options });
  const listener = await listenGrpc('test port', '127.0.0.1', 0, credentials ?? ServerCredentials.createInsecure(), [discovery.service(credentials ? 'tls' : 'plain')]);
  return {
    model,
    graph,
    discovery,
    address: listener.address,
    set: (resources) =>
      model.batch(() => {
        for (const [key, text] of Object.entries(resources)) {
          const slash = key.indexOf('/');
          const type = key.slice(0, slash) as ResourceType;
          const resourceName = key.slice(slash + 1);
          const base = { type: 'raw-resource' as const, key, namespace: '', name: resourceName, origin: key, createdAt: 0 };
          model.replace(key, text === undefined ? [] : [{ ...base, typeUrl: typeUrls[type], resourceName, value: new TextEncoder().encode(text) }]);
        }
      }),
    close: async () => {
      await listener.close();
      graph.close();
    },
  };
}
