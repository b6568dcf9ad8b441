import { HeaderValueOption_HeaderAppendAction as Append, type HeaderValueOptionSchema } from '@weft/xds-api/core';
import type { HeaderEdits } from '../model/route-rule.js';
import type { Init } from './message.js';

type HeaderValueOptions = Init<typeof HeaderValueOptionSchema>[];

export interface HeaderMutations {
  requestHeadersToAdd?: HeaderValueOptions;
  requestHeadersToRemove?: string[];
  responseHeadersToAdd?: HeaderValueOptions;
  responseHeadersToRemove?: string[];
}

/** The four fields that routes and weighted clusters share. `set` overwrites, `add` appends. */
export function headerMutations(edits: { requestHeaders?: HeaderEdits; responseHeaders?: HeaderEdits }): HeaderMutations {
  const { requestHeaders, responseHeaders } = edits;
  return {
    ...(requestHeaders && { requestHeadersToAdd: valueOptions(requestHeaders), requestHeadersToRemove: [...requestHeaders.remove] }),
    ...(responseHeaders && { responseHeadersToAdd: valueOptions(responseHeaders), responseHeadersToRemove: [...responseHeaders.remove] }),
  };
}

export function hasHeaderEdits(edits: { requestHeaders?: HeaderEdits; responseHeaders?: HeaderEdits }): boolean {
  return [edits.requestHeaders, edits.responseHeaders].some(
    (side) => side !== undefined && (Object.keys(side.set).length > 0 || Object.keys(side.add).length > 0 || side.remove.length > 0),
  );
}

function valueOptions({ set, add }: HeaderEdits): HeaderValueOptions {
  const options = (headers: Readonly<Record<string, string>>, appendAction: Append): HeaderValueOptions =>
    Object.entries(headers)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => ({ header: { key, value }, appendAction }));
  return [...options(set, Append.OVERWRITE_IF_EXISTS_OR_ADD), ...options(add, Append.APPEND_IF_EXISTS_OR_ADD)];
}
