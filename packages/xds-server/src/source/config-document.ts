// The text of a configuration file, document by document, with places to point at in messages.
import { Document, isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument, type Node } from 'yaml';
import type { Position } from '../config/config-object.js';
import { parsePath } from '../config/field-path.js';

/** Larger ones are no configuration written by people, and parsing costs several times the size in memory. */
export const maxDocumentBytes = 1024 * 1024;
/** Deep enough for every kind; deeper input only serves to exhaust the stack. */
const maxDepth = 64;

/** After the first the others are mostly its consequences. */
const maxErrors = 5;

const options = { version: '1.2', schema: 'core', merge: true, prettyErrors: false, logLevel: 'silent' } as const;

export interface TextDocument {
  text: string;
  /** Lines of the file before it. */
  line: number;
}

export interface ParsedDocument {
  /** Plain data; undefined for an empty document. */
  value?: unknown;
  errors: { reason: string; position: Position }[];
}

/** Documents begin and end at markers in the first column, wherever those stand (YAML 1.2, 9.1.2): no need to parse for it. */
export function splitDocuments(text: string): TextDocument[] {
  const documents: TextDocument[] = [];
  let lines: string[] = [];
  let start = 0;
  text.split('\n').forEach((content, at) => {
    if (/^(---|\.\.\.)(\s|$)/.test(content)) {
      documents.push({ text: lines.join('\n'), line: start });
      // What stands behind the marker belongs to the new document, in its own column.
      lines = [content.replace(/^(---|\.\.\.)/, '   ')];
      start = at;
      return;
    }
    lines.push(content);
  });
  documents.push({ text: lines.join('\n'), line: start });
  return documents.filter((document) => /^(?!\s*(#|%|$))/m.test(document.text));
}

export function parse(file: string, source: TextDocument): ParsedDocument {
  const at = (line: number, column: number): Position => ({ file, line: source.line + line, column });
  const only = (reason: string): ParsedDocument => ({ errors: [{ reason, position: at(1, 1) }] });
  const bytes = Buffer.byteLength(source.text);
  if (bytes > maxDocumentBytes) return only(`the document is ${bytes} bytes long; at most ${maxDocumentBytes} are allowed`);
  const tooDeep = `is nested more than ${maxDepth} levels deep`;
  if (opensWithoutEnd(source.text)) return only(tooDeep);
  const counter = new LineCounter();
  try {
    const document = parseDocument(source.text, { ...options, lineCounter: counter });
    if (document.errors.length > 0) {
      return {
        errors: document.errors.slice(0, maxErrors).map(({ message, pos }) => {
          const { line, col } = counter.linePos(pos[0]);
          return { reason: message, position: at(line, col) };
        }),
      };
    }
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    return depthExceeds(value, maxDepth) ? only(tooDeep) : { value, errors: [] };
  } catch (error) {
    // Recursion in the parser may exhaust the stack before there is a document.
    return only(error instanceof RangeError ? tooDeep : (error as Error).message);
  }
}

/** The parser is recursive and reports every open bracket: input made of them would cost seconds and the stack. */
function opensWithoutEnd(text: string): boolean {
  let open = 0;
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    open = bracket === '[' || bracket === '{' ? open + 1 : Math.max(0, open - 1);
    if (open > 1000) return true;
  }
  return /(?:[-?][ \t]+){1000}/.test(text);
}

/** The place of a field, or of the nearest thing around it that exists. Parses again: only messages need it. */
export function locate(file: string, source: TextDocument, path: string): Position {
  const counter = new LineCounter();
  const document = parseDocument(source.text, { ...options, lineCounter: counter });
  let node: unknown = document.contents;
  let offset = rangeOf(node);
  for (const step of parsePath(path)) {
    const next = child(node, step, document);
    if (!next) break;
    offset = rangeOf(next.place) ?? offset;
    node = next.node;
  }
  const { line, col } = counter.linePos(offset ?? 0);
  return { file, line: source.line + line, column: col };
}

function child(parent: unknown, step: string | number, document: Document): { node: unknown; place: unknown } | undefined {
  const node = isNode(parent) && 'resolve' in parent ? (parent as Node & { resolve(doc: Document): Node | undefined }).resolve(document) : parent;
  if (isMap(node)) {
    const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(step));
    return pair && { node: pair.value, place: pair.key };
  }
  if (!isSeq(node) || typeof step !== 'number') return undefined;
  const item = node.items[step];
  return item === undefined ? undefined : { node: item, place: item };
}

function rangeOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function depthExceeds(value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return limit === 0 || Object.values(value).some((inner) => depthExceeds(inner, limit - 1));
}
