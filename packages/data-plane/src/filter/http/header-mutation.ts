// envoy.filters.http.header_mutation: edits headers, trailers and the query, one mutation after the other. The filter's own come first, then
// those of every level of the route; the level that is applied last wins.
import { fromBinary } from '@weft/xds-api/protobuf';
import { typeUrl } from '@weft/xds-api';
import { HeaderMutationFilterSchema, HeaderMutationPerRouteSchema, HeaderMutation_RemoveOnMatchSchema, HeaderMutationSchema, MutationsSchema, type HeaderMutation as Mutation, type Mutations as MutationsMessage } from '@weft/xds-api/filter-headers';
import { checkedName, decodeHeaderAddition, framingHeaders } from '../../resource/header-mutation.js';
import { decodeStringMatcher } from '../../resource/matcher.js';
import { knownFields, Report } from '../../resource/report.js';
import type { HeaderMutationConfig } from '../../resource/route-config.js';
import { compileHeaderMutation, type HeaderMutation } from '../../route/header-mutation.js';
import { compileStringMatcher } from '../../route/string-matcher.js';
import type { HeaderMap } from '../../stream/header-map.js';
import type { RequestHead } from '../../stream/request-head.js';
import type { ResponseHead } from '../../stream/response-head.js';
import type { BodyFilter, FilterRouteInfo, HttpFilterFactory, StreamFilter } from '../http-filter.js';
import { applyQueryParameterEdits, decodeQueryParameterMutation, type QueryParameterEdit } from './query-parameter-mutation.js';

/** Each list in its order; a query is edited as one, so its edits of a level stay together. */
interface Mutations {
  request: readonly HeaderMutation[];
  query: readonly QueryParameterEdit[];
  response: readonly HeaderMutation[];
  requestTrailers: readonly HeaderMutation[];
  responseTrailers: readonly HeaderMutation[];
}

export interface HeaderMutationFilterConfig extends Mutations {
  mostSpecificWins: boolean;
}

const fields = knownFields(HeaderMutationFilterSchema, ['mutations', 'most_specific_header_mutations_wins']);
const perRouteFields = knownFields(HeaderMutationPerRouteSchema, ['mutations']);
const mutationsFields = knownFields(MutationsSchema, ['request_mutations', 'query_parameter_mutations', 'response_mutations', 'request_trailers_mutations', 'response_trailers_mutations']);
const mutationFields = knownFields(HeaderMutationSchema, ['remove', 'append', 'remove_on_match']);
const matchFields = knownFields(HeaderMutation_RemoveOnMatchSchema, ['key_matcher']);

export const headerMutation: HttpFilterFactory<HeaderMutationFilterConfig, Mutations> = {
  name: 'envoy.filters.http.header_mutation',
  typeUrls: [typeUrl(HeaderMutationFilterSchema), typeUrl(HeaderMutationPerRouteSchema)],
  messages: [HeaderMutationFilterSchema, HeaderMutationPerRouteSchema],
  sides: ['client', 'server'],
  parse(_typeUrl, value) {
    const message = fromBinary(HeaderMutationFilterSchema, value);
    const report = new Report();
    report.check(fields, message, '');
    const mutations = decodeMutations(message.mutations, report);
    report.finish('HeaderMutation');
    return { ...mutations, mostSpecificWins: message.mostSpecificHeaderMutationsWins };
  },
  parseOverride(_typeUrl, value) {
    const message = fromBinary(HeaderMutationPerRouteSchema, value);
    const report = new Report();
    report.check(perRouteFields, message, '');
    const mutations = decodeMutations(message.mutations, report);
    report.finish('HeaderMutationPerRoute');
    return mutations;
  },
  create: () => ({ forRoute }),
};

function decodeMutations(message: MutationsMessage | undefined, report: Report): Mutations {
  if (!message) return { request: [], query: [], response: [], requestTrailers: [], responseTrailers: [] };
  report.check(mutationsFields, message, 'mutations');
  const decode = (list: readonly Mutation[], of: 'request' | 'response', what: string) => list.flatMap((mutation, i) => decodeMutation(mutation, of, `mutations.${what}_mutations[${i}]`, report) ?? []);
  return {
    request: decode(message.requestMutations, 'request', 'request'),
    query: message.queryParameterMutations.flatMap((mutation, i) => decodeQueryParameterMutation(mutation, `mutations.query_parameter_mutations[${i}]`, report) ?? []),
    response: decode(message.responseMutations, 'response', 'response'),
    // Edited as headers of responses are: trailers have no pseudo-headers.
    requestTrailers: decode(message.requestTrailersMutations, 'response', 'request_trailers'),
    responseTrailers: decode(message.responseTrailersMutations, 'response', 'response_trailers'),
  };
}

/** One edit, of whatever message. Undefined where it is wrong, which is then reported. */
export function decodeMutation(mutation: Mutation, of: 'request' | 'response', path: string, report: Report): HeaderMutation | undefined {
  report.check(mutationFields, mutation, path);
  const before = report.problems.length;
  const config: HeaderMutationConfig = { add: [], remove: [] };
  switch (mutation.action.case) {
    case 'append':
      config.add = [decodeHeaderAddition(mutation.action.value, `${path}.append`, report)];
      break;
    case 'remove':
      config.remove = [checkedName(mutation.action.value, `${path}.remove`, report)];
      break;
    case 'removeOnMatch': {
      const { keyMatcher } = mutation.action.value;
      report.check(matchFields, mutation.action.value, `${path}.remove_on_match`);
      if (!keyMatcher) report.add(`${path}.remove_on_match.key_matcher`, 'is required');
      const matcher = keyMatcher && decodeStringMatcher(keyMatcher, `${path}.remove_on_match.key_matcher`, report);
      return matcher && report.problems.length === before ? removal(compileStringMatcher(matcher)) : undefined;
    }
    default:
      report.add(path, 'one of remove, append, remove_on_match is required');
  }
  return report.problems.length === before ? report.attempt(path, () => compileHeaderMutation(config, of)) : undefined;
}

/** Framing headers stay: without them the message would be another. */
function removal(matches: (name: string) => boolean): HeaderMutation {
  const remove = (headers: HeaderMap) => {
    for (const name of new Set([...headers].map(([name]) => name))) if (!framingHeaders.has(name) && matches(name)) headers.remove(name);
  };
  return { applyToRequest: ({ headers }) => remove(headers), applyToResponse: ({ headers }) => remove(headers) };
}

function forRoute(config: HeaderMutationFilterConfig, _override: Mutations | undefined, { overrides }: FilterRouteInfo<Mutations>): (() => StreamFilter) | undefined {
  const levels: readonly Mutations[] = [config, ...(config.mostSpecificWins ? overrides : overrides.toReversed())];
  const response = levels.flatMap((level) => level.response);
  const requestTrailers = levels.flatMap((level) => level.requestTrailers);
  const responseTrailers = levels.flatMap((level) => level.responseTrailers);
  const edited = levels.filter(({ request, query }) => request.length + query.length > 0);
  if (edited.length + response.length + requestTrailers.length + responseTrailers.length === 0) return undefined;
  return () => {
    // What %REQ()% in trailers reads.
    let requestHead: RequestHead | undefined;
    return {
      decodeHeaders(head, info) {
        requestHead = head;
        for (const { request, query } of edited) {
          for (const mutation of request) mutation.applyToRequest(head, info);
          if (query.length > 0) applyQueryParameterEdits(query, head, info);
        }
        return undefined;
      },
      ...(requestTrailers.length > 0 && { decodeBody: (head, info) => trailersEdit(requestTrailers, (headers, mutation) => mutation.applyToResponse({ status: 0, headers }, info, head)) } satisfies StreamFilter),
      ...(response.length > 0 && {
        encodeHeaders(head, info, stream) {
          if (stream.requestHead) for (const mutation of response) mutation.applyToResponse(head, info, stream.requestHead);
        },
      } satisfies StreamFilter),
      ...(responseTrailers.length > 0 && {
        encodeBody: ({ status }: ResponseHead, info) => trailersEdit(responseTrailers, (headers, mutation) => requestHead && mutation.applyToResponse({ status, headers }, info, requestHead)),
      } satisfies StreamFilter),
    };
  };
}

/** Where there are none, none are made, as in Envoy. */
function trailersEdit(mutations: readonly HeaderMutation[], apply: (trailers: HeaderMap, mutation: HeaderMutation) => void): BodyFilter {
  return {
    end(trailers) {
      if (trailers.raw.length > 0) for (const mutation of mutations) apply(trailers, mutation);
    },
  };
}
