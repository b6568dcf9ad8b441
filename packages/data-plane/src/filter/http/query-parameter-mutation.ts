// query_parameter_mutations of the header mutation filter. As in Envoy, the query is written anew, its parameters sorted by name. Those
// that came with the request keep their spelling: Envoy writes them decoded, so that a `%26` becomes a separator.
import { KeyValueAppend_KeyValueAppendAction as Action, KeyValueAppendSchema, KeyValueMutationSchema, KeyValuePairSchema, type KeyValueMutation } from '@weft/xds-api/core';
import { knownFields, type Report } from '../../resource/report.js';
import { bytesOf } from '../../resource/value.js';
import { compileFormatter, type Formatter } from '../../route/formatter.js';
import type { RequestHead } from '../../stream/request-head.js';
import type { StreamInfo } from '../../stream/stream-info.js';

const mutationFields = knownFields(KeyValueMutationSchema, ['append', 'remove']);
const appendFields = knownFields(KeyValueAppendSchema, ['record', 'action']);
const recordFields = knownFields(KeyValuePairSchema, ['key', 'value']);

export type QueryParameterEdit = (parameters: Parameters, head: RequestHead, info: StreamInfo) => void;

/** By decoded name, the values as they are written. */
type Parameters = Map<string, { readonly spelled: string; readonly value: string | undefined }[]>;

export function decodeQueryParameterMutation(mutation: KeyValueMutation, path: string, report: Report): QueryParameterEdit | undefined {
  report.check(mutationFields, mutation, path);
  const { append, remove } = mutation;
  if ((append === undefined) === (remove === '')) {
    report.add(path, 'one of append, remove is required');
    return undefined;
  }
  if (!append) return ((parameters) => void parameters.delete(remove)) satisfies QueryParameterEdit;
  report.check(appendFields, append, `${path}.append`);
  const { record, action } = append;
  if (record) report.check(recordFields, record, `${path}.append.record`);
  const value = record?.value?.kind;
  if (!record || record.key === '') report.add(`${path}.append.record.key`, 'must not be empty');
  if (value?.case !== 'stringValue') report.add(`${path}.append.record.value`, 'must be a string');
  if (!(action in Action)) report.add(`${path}.append.action`, `unknown value ${action as number}`);
  const formatter = value?.case === 'stringValue' ? report.attempt(`${path}.append.record.value`, () => compileFormatter(bytesOf(value.value))) : undefined;
  return record && formatter && compileAppend(record.key, formatter, action);
}

function compileAppend(name: string, value: Formatter, action: Action): QueryParameterEdit {
  return (parameters, head, info) => {
    const there = parameters.get(name);
    if (action === Action.ADD_IF_ABSENT ? there : action === Action.OVERWRITE_IF_EXISTS ? !there : false) return;
    const added = { spelled: name, value: encoded(value(head, info)) };
    if (there && action === Action.APPEND_IF_EXISTS_OR_ADD) there.push(added);
    else parameters.set(name, [added]);
  };
}

/** The path with its query edited; without any edit that does something the query is still written anew, as Envoy does. */
export function applyQueryParameterEdits(edits: readonly QueryParameterEdit[], head: RequestHead, info: StreamInfo): void {
  const [path = '', query = ''] = splitOnce(head.path, '?');
  const parameters: Parameters = new Map();
  for (const part of query.split('&')) {
    if (part === '') continue;
    const [spelled = '', value] = splitOnce(part, '=');
    const name = decoded(spelled);
    const there = parameters.get(name);
    if (there) there.push({ spelled, value });
    else parameters.set(name, [{ spelled, value }]);
  }
  for (const edit of edits) edit(parameters, head, info);
  const sorted = [...parameters].sort(([a], [b]) => (a < b ? -1 : 1));
  const written = sorted.flatMap(([, values]) => values.map(({ spelled, value }) => `${spelled}=${value ?? ''}`)).join('&');
  head.path = written === '' ? path : `${path}?${written}`;
}

function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function decoded(name: string): string {
  if (!name.includes('%')) return name;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function encoded(value: string): string {
  // Values of headers are held as bytes.
  const bytes = Buffer.from(value, 'latin1');
  let text = '';
  for (const byte of bytes) {
    const letter = String.fromCharCode(byte);
    text += /[\w.~-]/.test(letter) ? letter : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}
