// The requests that are to be explained, from the command line or from a file.
import { readFileSync } from 'node:fs';
import type { ExplainRequest } from '@weft/data-plane/explain';
import { CliError } from '../cli-error.js';

/** JSON lines of `{url, method, headers, random}`; `-` is the standard input. */
export function readRequests(file: string): ExplainRequest[] {
  const text = readText(file);
  return text.split('\n').flatMap((line, i) => (line.trim() === '' ? [] : [readRequest(line, `${file}:${i + 1}`)]));
}

export function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new CliError(`cannot read ${file}: ${(error as Error).message}`);
  }
}

function readRequest(line: string, at: string): ExplainRequest {
  const refuse = (reason: string) => new CliError(`${at}: ${reason}`);
  let json: unknown;
  try {
    json = JSON.parse(line, exactRandom);
  } catch (error) {
    throw refuse((error as Error).message);
  }
  if (typeof json !== 'object' || json === null) throw refuse('expected {"url": …}');
  const { url, method, headers, random, ...others } = json as Record<string, unknown>;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw refuse(`${unknown}: unknown, a request has url, method, headers and random`);
  if (typeof url !== 'string' || !isUrl(url)) throw refuse('url: expected http://HOST:PORT/PATH');
  if (method !== undefined && typeof method !== 'string') throw refuse('method: expected a string');
  const pairs = headers ?? [];
  if (!Array.isArray(pairs) || !pairs.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every((part) => typeof part === 'string'))) throw refuse('headers: expected [[name, value], …]');
  const number = random === undefined ? undefined : randomValue(random as string | number | bigint);
  if (random !== undefined && number === undefined) throw refuse('random: expected a whole number from 0 to 2^64 - 1');
  return { url, ...(method !== undefined && { method }), headers: pairs as [string, string][], ...(number !== undefined && { random: number }) };
}

export function isUrl(text: string): boolean {
  return /^https?:\/\//.test(text) && URL.canParse(text);
}

/** Undefined where it is no uint64. */
export function randomValue(value: unknown): bigint | undefined {
  if (!/^\d{1,20}$/.test(String(value))) return undefined;
  const number = BigInt(String(value));
  return number < 1n << 64n ? number : undefined;
}

/** A uint64 does not fit into a JavaScript number: the digits are taken as they stand. */
function exactRandom(key: string, value: unknown, context?: { source?: string }): unknown {
  return key === 'random' && typeof value === 'number' && context?.source !== undefined && /^\d+$/.test(context.source) ? BigInt(context.source) : value;
}
