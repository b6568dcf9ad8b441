// envoy.filters.http.header_mutation: edits headers, one mutation after the other. The filter's own come first, then those of every level of
// the route; the level that is applied last wins.
import { fromBinary } from '@weft/xds-api/protobuf';
import { typeUrl } from '@weft/xds-api';
import { HeaderMutationFilterSchema, HeaderMutationPerRouteSchema, HeaderMutationSchema, MutationsSchema, type HeaderMutation as Mutation, type Mutations as MutationsMessage } from '@weft/xds-api/filter-headers';
import { checkedName, decodeHeaderAddition } from '../../resource/header-mutation.js';
import { knownFields, Report } from '../../resource/report.js';
import type { HeaderMutationConfig } from '../../resource/route-config.js';
import { compileHeaderMutation, type HeaderMutation } from '../../route/header-mutation.js';
import type { RequestHead } from '../../stream/request-head.js';
import type { FilterRouteInfo, HttpFilterFactory, StreamFilter } from '../http-filter.js';

interface Mutations {
  request: readonly HeaderMutation[];
  response: readonly HeaderMutation[];
}

export interface HeaderMutationFilterConfig extends Mutations {
  mostSpecificWins: boolean;
}

const fields = knownFields(HeaderMutationFilterSchema, ['mutations', 'most_specific_header_mutations_wins']);
const perRouteFields = knownFields(HeaderMutationPerRouteSchema, ['mutations']);
const mutationsFields = knownFields(MutationsSchema, ['request_mutations', 'response_mutations']);
const mutationFields = knownFields(HeaderMutationSchema, ['remove', 'append']);

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
  if (!message) return { request: [], response: [] };
  report.check(mutationsFields, message, 'mutations');
  const decode = (list: readonly Mutation[], of: 'request' | 'response') => list.flatMap((mutation, i) => decodeMutation(mutation, of, `mutations.${of}_mutations[${i}]`, report) ?? []);
  return { request: decode(message.requestMutations, 'request'), response: decode(message.responseMutations, 'response') };
}

function decodeMutation(mutation: Mutation, of: 'request' | 'response', path: string, report: Report): HeaderMutation | undefined {
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
    default:
      report.add(path, 'one of remove, append is required');
  }
  return report.problems.length === before ? report.attempt(path, () => compileHeaderMutation(config, of)) : undefined;
}

function forRoute(config: HeaderMutationFilterConfig, _override: Mutations | undefined, { overrides }: FilterRouteInfo<Mutations>): (() => StreamFilter) | undefined {
  const levels: readonly Mutations[] = [config, ...(config.mostSpecificWins ? overrides : overrides.toReversed())];
  const request = levels.flatMap((level) => level.request);
  const response = levels.flatMap((level) => level.response);
  if (request.length === 0 && response.length === 0) return undefined;
  return () => {
    // What %REQ()% in a response reads.
    let requestHead: RequestHead | undefined;
    return {
      decodeHeaders(head, info) {
        requestHead = head;
        for (const mutation of request) mutation.applyToRequest(head, info);
        return undefined;
      },
      ...(response.length > 0 && {
        encodeHeaders(head, info) {
          if (requestHead) for (const mutation of response) mutation.applyToResponse(head, info, requestHead);
        },
      } satisfies StreamFilter),
    };
  };
}
