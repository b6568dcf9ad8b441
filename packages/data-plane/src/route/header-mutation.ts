// Header edits of one level (route, virtual host, …), compiled. Values are computed from the headers as they came, after
// removals and before any addition of that level, so that the order of the list does not matter to formatters (Envoy's
// HeaderParser).
import type { HeaderMutationConfig } from '../resource/route-config.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead } from '../stream/response-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import type { HeaderMap } from '../stream/header-map.js';
import { compileFormatter, type Formatter } from './formatter.js';

type Action = HeaderMutationConfig['add'][number]['action'];

interface Addition {
  name: string;
  value: Formatter;
  action: Action;
  keepEmpty: boolean;
}

export interface HeaderMutation {
  applyToRequest(head: RequestHead, info: StreamInfo, edits?: HeaderEdits): void;
  applyToResponse(response: ResponseHead, info: StreamInfo, head: RequestHead, edits?: HeaderEdits): void;
}

/** Is told what edits really did; live requests have nobody to tell. */
export interface HeaderEdits {
  /** The header has this one value now. */
  set(name: string, value: string): void;
  append(name: string, value: string): void;
  remove(name: string): void;
}

/** `undefined` where there is nothing to do. Throws for an unknown formatter or a header that must not be edited. */
export function compileHeaderMutation(config: HeaderMutationConfig, of: 'request' | 'response'): HeaderMutation | undefined {
  if (config.add.length === 0 && config.remove.length === 0) return undefined;
  const remove = config.remove.map((name) => checkedName(name, 'remove', of));
  const additions: Addition[] = config.add.map(({ name, value, action, keepEmpty }) => ({
    name: checkedName(name, action, of),
    value: compileFormatter(value),
    action,
    keepEmpty,
  }));
  return {
    applyToRequest(head, info, edits) {
      for (const name of remove) removeFrom(head.headers, name, edits);
      const values = additions.map(({ value }) => value(head, info));
      additions.forEach((addition, i) => {
        const value = values[i] as string;
        if (value === '' && !addition.keepEmpty) return;
        if (!setPseudo(head, addition.name, value)) add(head.headers, addition, value, edits);
        else edits?.set(addition.name, value);
      });
    },
    applyToResponse(response, info, head, edits) {
      for (const name of remove) removeFrom(response.headers, name, edits);
      const values = additions.map(({ value }) => value(head, info, response));
      additions.forEach((addition, i) => {
        const value = values[i] as string;
        if (value !== '' || addition.keepEmpty) add(response.headers, addition, value, edits);
      });
    },
  };
}

function removeFrom(headers: HeaderMap, name: string, edits: HeaderEdits | undefined): void {
  headers.remove(name);
  edits?.remove(name);
}

function add(headers: HeaderMap, { name, action }: Addition, value: string, edits: HeaderEdits | undefined): void {
  switch (action) {
    case 'append-if-exists-or-add':
      headers.add(name, value);
      return edits?.append(name, value);
    case 'add-if-absent':
      if (headers.has(name)) return;
      break;
    case 'overwrite-if-exists':
      if (!headers.has(name)) return;
      break;
    case 'overwrite-if-exists-or-add':
  }
  headers.set(name, value);
  edits?.set(name, value);
}

const settable = new Set([':authority', ':path', ':method', 'host']);

function checkedName(text: string, action: Action | 'remove', of: 'request' | 'response'): string {
  const name = text.toLowerCase();
  if (name === '' || /[^!#$%&'*+.^_`|~0-9a-z:-]/.test(name)) throw new Error(`not a header name: "${text}"`);
  if (!name.startsWith(':') && name !== 'host') return name;
  const overwrites = action === 'overwrite-if-exists' || action === 'overwrite-if-exists-or-add';
  if (of === 'response' || !overwrites || !settable.has(name)) throw new Error(`header ${text} must not be ${action === 'remove' ? 'removed' : 'added'} here`);
  return name;
}

function setPseudo(head: RequestHead, name: string, value: string): boolean {
  switch (name) {
    case ':authority': case 'host': head.authority = value; return true;
    case ':path': head.path = value; return true;
    case ':method': head.method = value; return true;
    default: return false;
  }
}
