// *_headers_to_add and *_headers_to_remove, of any level.
import type { JsonObject } from '../model.js';
import type { Draw } from './draw.js';

const names = ['x-a', 'x-b', 'X-M1', 'x-m2', 'x-resp', 'x-hidden', 'x-user', 'user-agent', 'x-empty'];
const constants = ['v1', 'v2', '', 'a%%b', 'with space', '\u00e9'];
const requestFormats = ['%REQ(x-a)%', 'pre-%REQ(X-B?:path)%-post', '%REQ(:method)%', '%REQ(:authority)%', '%REQ(:path)%', '%PROTOCOL%', '%ROUTE_NAME%', '%REQ(x-user):2%', '%REQ(missing)%', '%UPSTREAM_CLUSTER%', '%REQ(x-a)%%REQ(x-b)%', '%REQ(:scheme)%', '%DYNAMIC_METADATA(n:a)%', '%DYNAMIC_METADATA(n:set)%-%DYNAMIC_METADATA(n:set:inner)%'];
const responseFormats = [...requestFormats, '%RESPONSE_CODE%', '%RESP(x-resp)%', '%RESP(x-from?x-hidden)%', '%RESPONSE_FLAGS%', '%RESPONSE_CODE_DETAILS%'];
const actions = ['APPEND_IF_EXISTS_OR_ADD', 'ADD_IF_ABSENT', 'OVERWRITE_IF_EXISTS_OR_ADD', 'OVERWRITE_IF_EXISTS'];

export function headerMutations(draw: Draw, probability: number): JsonObject {
  return {
    ...draw.maybe(probability, () => ({ request_headers_to_add: draw.list(1, 3, () => option(draw, requestFormats)) })),
    ...draw.maybe(probability / 2, () => ({ request_headers_to_remove: draw.some(names, 1, 2) })),
    ...draw.maybe(probability, () => ({ response_headers_to_add: draw.list(1, 3, () => option(draw, responseFormats)) })),
    ...draw.maybe(probability / 2, () => ({ response_headers_to_remove: draw.some(names, 1, 2) })),
  };
}

export function option(draw: Draw, formats: readonly string[]): JsonObject {
  return {
    header: { key: draw.pick(names), value: draw.chance(0.5) ? draw.pick(constants) : draw.pick(formats) },
    ...draw.maybe(0.7, () => ({ append_action: draw.pick(actions) })),
    ...draw.maybe(0.3, () => ({ keep_empty_value: true })),
  };
}

export const mutationType = 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation';

/** Of the header mutation filter. */
export function mutationList(draw: Draw): JsonObject {
  const mutations = (formats: readonly string[]) => draw.list(1, 3, () => (draw.chance(0.25) ? { remove: draw.pick(names) } : { append: option(draw, formats) }));
  return { '@type': mutationType, mutations: { ...draw.maybe(0.7, () => ({ request_mutations: mutations(requestFormats) })), ...draw.maybe(0.7, () => ({ response_mutations: mutations(responseFormats) })) }, ...draw.maybe(0.3, () => ({ most_specific_header_mutations_wins: true })) };
}
