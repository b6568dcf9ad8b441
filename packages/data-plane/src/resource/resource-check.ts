// What clients and servers would refuse of a resource, found by their own decoders: for looking at configuration before anybody gets it.
import { fromBinary } from '@weft/xds-api/protobuf';
import { ListenerSchema } from '@weft/xds-api/listener';
import { endpointPolicy } from './endpoint-policy.js';
import { makeDecoders } from './decoders.js';
import { DecodeError, type FieldProblem, type ResourceType } from '../xds/resource-type.js';

/** Problems of an encoded resource by field; none where it is of a type that is not decoded. A NACK names the same. */
export function resourceChecker(): (typeUrl: string, value: Uint8Array) => readonly FieldProblem[] {
  const { types } = makeDecoders({ filters: [], loadBalancers: [], certificateProviders: anyProvider, policy: endpointPolicy({ allowLoopback: true }) });
  const { clientListener, serverListener, ...others } = types;
  const byUrl = new Map<string, ResourceType<unknown>>(Object.values(others).map((type) => [type.typeUrl, type]));
  return (typeUrl, value) => {
    if (typeUrl !== clientListener.typeUrl) return problemsOf(byUrl.get(typeUrl), value);
    // Clients dial what has an api_listener, or no address to bind; servers bind the rest.
    const { apiListener, address, filterChains } = fromBinary(ListenerSchema, value);
    const dialled = apiListener !== undefined || address === undefined;
    return [...(dialled ? problemsOf(clientListener, value) : []), ...(!dialled || filterChains.length > 0 && address ? problemsOf(serverListener, value) : [])];
  };
}

function problemsOf(type: ResourceType<unknown> | undefined, value: Uint8Array): readonly FieldProblem[] {
  try {
    type?.decode(value);
    return [];
  } catch (error) {
    if (error instanceof DecodeError) return error.problems;
    return [{ path: '', reason: (error as Error).message }];
  }
}

/** Where nobody's bootstrap is at hand, every certificate provider is there. */
export const anyProvider = new (class extends Set<string> {
  override has(): boolean {
    return true;
  }
})();
