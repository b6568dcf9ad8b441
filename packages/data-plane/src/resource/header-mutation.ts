// *_headers_to_add and *_headers_to_remove, which four levels of a route configuration have in the same form.
import { HeaderValueOption_HeaderAppendAction as Action, HeaderValueOptionSchema, HeaderValueSchema, type HeaderValueOption } from '@weft/xds-api/core';
import { bytesOf } from './value.js';
import { join, knownFields, type Report } from './report.js';
import { noMutations, type HeaderMutationConfig, type HeaderMutationsConfig } from './route-config.js';

const optionFields = knownFields(HeaderValueOptionSchema, ['header', 'append', 'append_action', 'keep_empty_value']);
const valueFields = knownFields(HeaderValueSchema, ['key', 'value', 'raw_value']);

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// Envoy refuses pseudo-headers and Host here; the others are how a message is framed, and changing them would desynchronise it.
export const framingHeaders: ReadonlySet<string> = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'upgrade', 'te']);

export interface HeaderMutationFields {
  readonly requestHeadersToAdd: readonly HeaderValueOption[];
  readonly requestHeadersToRemove: readonly string[];
  readonly responseHeadersToAdd: readonly HeaderValueOption[];
  readonly responseHeadersToRemove: readonly string[];
}

export function decodeHeaderMutations(fields: HeaderMutationFields, path: string, report: Report): HeaderMutationsConfig {
  const { requestHeadersToAdd, requestHeadersToRemove, responseHeadersToAdd, responseHeadersToRemove } = fields;
  if (requestHeadersToAdd.length + requestHeadersToRemove.length + responseHeadersToAdd.length + responseHeadersToRemove.length === 0) return noMutations;
  return {
    request: mutation(requestHeadersToAdd, requestHeadersToRemove, join(path, 'request_headers'), report),
    response: mutation(responseHeadersToAdd, responseHeadersToRemove, join(path, 'response_headers'), report),
  };
}

function mutation(add: readonly HeaderValueOption[], remove: readonly string[], prefix: string, report: Report): HeaderMutationConfig {
  return {
    add: add.map((option, i) => decodeHeaderAddition(option, `${prefix}_to_add[${i}]`, report)),
    remove: remove.map((name, i) => checkedName(name, `${prefix}_to_remove[${i}]`, report)),
  };
}

/** One header to add, of whatever message. */
export function decodeHeaderAddition(option: HeaderValueOption, path: string, report: Report): HeaderMutationConfig['add'][number] {
  report.check(optionFields, option, path);
  const { header, append, appendAction, keepEmptyValue } = option;
  if (!header) report.add(join(path, 'header'), 'is required');
  else report.check(valueFields, header, join(path, 'header'));
  const value = header?.value ? bytesOf(header.value) : Buffer.from(header?.rawValue ?? []).toString('latin1');
  // CR, LF and NUL would start another header (or message).
  if (/[\r\n\0]/.test(value)) report.add(join(path, 'header.value'), 'must not hold CR, LF or NUL');
  return {
    name: checkedName(header?.key ?? '', join(path, 'header.key'), report),
    value,
    action: action(append, appendAction, path, report),
    keepEmpty: keepEmptyValue,
  };
}

function action(append: boolean | undefined, appendAction: Action, path: string, report: Report): HeaderMutationConfig['add'][number]['action'] {
  // The older field counts where it is set (it and the newer one may not both be).
  if (append === false && appendAction === Action.APPEND_IF_EXISTS_OR_ADD) return 'overwrite-if-exists-or-add';
  switch (appendAction) {
    case Action.APPEND_IF_EXISTS_OR_ADD:
      return 'append-if-exists-or-add';
    case Action.ADD_IF_ABSENT:
      return 'add-if-absent';
    case Action.OVERWRITE_IF_EXISTS_OR_ADD:
      return 'overwrite-if-exists-or-add';
    case Action.OVERWRITE_IF_EXISTS:
      return 'overwrite-if-exists';
    default:
      report.add(join(path, 'append_action'), `unknown value ${appendAction as number}`);
      return 'append-if-exists-or-add';
  }
}

/** In lower case; reported where it is not a header's, or one that must not be changed. */
export function checkedName(name: string, path: string, report: Report): string {
  const lower = name.toLowerCase();
  if (!token.test(name)) report.add(path, `${JSON.stringify(name)} is not a header that can be changed`);
  else if (framingHeaders.has(lower)) report.add(path, `${lower} must not be changed`);
  return lower;
}
