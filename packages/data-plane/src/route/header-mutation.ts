// Header edits of one level (route, virtual host, …), compiled. Values are computed, and it is decided whether a header exists,
// on the headers as they came, after removals and before any addition of that level; then what overwrites is written, then
// the rest is added (Envoy's HeaderParser).
import type { HeaderMutationConfig } from '../resource/route-config.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead } from '../stream/response-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import type { HeaderMap } from '../stream/header-map.js';
import { compileHeaderFormatter, type Formatter } from './formatter.js';

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
    value: compileHeaderFormatter(value),
    action,
    keepEmpty,
  }));
  return {
    applyToRequest(head, info, edits) {
      for (const name of remove) removeFrom(head.headers, name, edits);
      const due = additionsFor(head.headers, additions, ({ value }) => value(head, info));
      for (const { name, value, overwrites } of due) if (overwrites) overwrite(head.headers, name, value, edits, setPseudo(head, name, value));
      for (const { name, value, overwrites, ifAbsent } of due) if (!overwrites) append(head.headers, name, value, edits, ifAbsent);
    },
    applyToResponse(response, info, head, edits) {
      for (const name of remove) removeFrom(response.headers, name, edits);
      const due = additionsFor(response.headers, additions, ({ value }) => value(head, info, response));
      for (const { name, value, overwrites } of due) if (overwrites) overwrite(response.headers, name, value, edits);
      for (const { name, value, overwrites, ifAbsent } of due) if (!overwrites) append(response.headers, name, value, edits, ifAbsent);
    },
  };
}

function removeFrom(headers: HeaderMap, name: string, edits: HeaderEdits | undefined): void {
  headers.remove(name);
  edits?.remove(name);
}

function overwrite(headers: HeaderMap, name: string, value: string, edits: HeaderEdits | undefined, done = false): void {
  if (!done) headers.set(name, value);
  edits?.set(name, value);
}

function append(headers: HeaderMap, name: string, value: string, edits: HeaderEdits | undefined, ifAbsent: boolean): void {
  headers.add(name, value);
  if (ifAbsent) edits?.set(name, value);
  else edits?.append(name, value);
}

interface Due {
  name: string;
  value: string;
  overwrites: boolean;
  ifAbsent: boolean;
}

/** What there is to do, decided and computed before anything is done; what overwrites is done first. */
function additionsFor(headers: HeaderMap, additions: readonly Addition[], valueOf: (addition: Addition) => string): Due[] {
  const due: Due[] = [];
  for (const addition of additions) {
    const { name, action, keepEmpty } = addition;
    const value = valueOf(addition);
    if (value === '' && !keepEmpty) continue;
    if (action === 'add-if-absent' && headers.has(name)) continue;
    const pseudo = name.startsWith(':') || name === 'host';
    if (action === 'overwrite-if-exists' && !pseudo && !headers.has(name)) continue;
    due.push({ name, value, overwrites: action === 'overwrite-if-exists' || action === 'overwrite-if-exists-or-add', ifAbsent: action === 'add-if-absent' });
  }
  return due;
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
