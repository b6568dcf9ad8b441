// Reads the fields of an object one by one: reports wrong types by path, and at the end every field nobody asked for.
import { parseDuration } from './duration.js';
import { joinPath } from './field-path.js';

export interface Reporter {
  error(field: string, reason: string): void;
  warn(field: string, reason: string): void;
}

interface Range {
  min?: number;
  max?: number;
}

export class Fields {
  readonly path: string;
  readonly report: Reporter;
  readonly #value: Readonly<Record<string, unknown>>;
  readonly #known = new Set<string>();

  constructor(value: unknown, path: string, report: Reporter) {
    this.path = path;
    this.report = report;
    this.#value = isObject(value) ? value : {};
    if (!isObject(value)) report.error(path, `must be an object, not ${describe(value)}`);
  }

  at(name: string): string {
    return joinPath(this.path, name);
  }

  error(name: string, reason: string): void {
    this.report.error(this.at(name), reason);
  }

  warn(name: string, reason: string): void {
    this.report.warn(this.at(name), reason);
  }

  /** Present and not null. */
  has(name: string): boolean {
    return this.raw(name) !== undefined;
  }

  raw(name: string): unknown {
    this.#known.add(name);
    return Object.hasOwn(this.#value, name) ? (this.#value[name] ?? undefined) : undefined;
  }

  keys(): string[] {
    return Object.keys(this.#value);
  }

  string(name: string): string | undefined {
    const value = this.raw(name);
    if (value === undefined || typeof value === 'string') return value;
    this.error(name, `must be a string, not ${describe(value)}`);
    return undefined;
  }

  /** Reports where it is missing or empty, and gives '' then. */
  requiredString(name: string): string {
    const value = this.string(name);
    if (!value && (value === '' || this.raw(name) === undefined)) this.error(name, 'is required');
    return value ?? '';
  }

  boolean(name: string): boolean | undefined {
    const value = this.raw(name);
    if (value === undefined || typeof value === 'boolean') return value;
    this.error(name, `must be true or false, not ${describe(value)}`);
    return undefined;
  }

  number(name: string, { min = -Infinity, max = Infinity }: Range = {}): number | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isFinite(value)) this.error(name, `must be a number, not ${describe(value)}`);
    else if (value < min || value > max) this.error(name, `must be ${range(min, max)}, not ${value}`);
    else return value;
    return undefined;
  }

  integer(name: string, { min = 0, max = 2 ** 32 - 1 }: Range = {}): number | undefined {
    const value = this.number(name, { min, max });
    if (value === undefined || Number.isInteger(value)) return value;
    this.error(name, `must be a whole number, not ${value}`);
    return undefined;
  }

  port(name: string): number | undefined {
    return this.integer(name, { min: 1, max: 65535 });
  }

  /** Milliseconds. */
  duration(name: string, { min = 0 }: { min?: number } = {}): number | undefined {
    const text = this.string(name);
    if (text === undefined) return undefined;
    const value = parseDuration(text);
    if (value === undefined) this.error(name, `must be a duration such as 250ms, 1.5s or 1h30m, not ${JSON.stringify(text)}`);
    else if (value !== 0 && value < 1) this.error(name, `must be at least 1ms, not ${text}`);
    else if (value < min) this.error(name, `must be at least ${min}ms, not ${text}`);
    else return value;
    return undefined;
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T | undefined {
    const value = this.string(name);
    if (value === undefined) return undefined;
    const found = values.find((each) => each === value);
    if (found === undefined) this.error(name, `must be one of ${values.join(', ')}, not ${JSON.stringify(value)}`);
    return found;
  }

  strings(name: string): string[] {
    return this.#list(name).flatMap((value, at) => {
      if (typeof value === 'string') return [value];
      this.report.error(joinPath(this.at(name), at), `must be a string, not ${describe(value)}`);
      return [];
    });
  }

  object(name: string): Fields | undefined {
    const value = this.raw(name);
    return value === undefined ? undefined : new Fields(value, this.at(name), this.report);
  }

  list(name: string): Fields[] {
    return this.#list(name).map((value, at) => new Fields(value, joinPath(this.at(name), at), this.report));
  }

  /** String values by key: labels and the like. */
  labels(name: string): Record<string, string> {
    const fields = this.object(name);
    return Object.fromEntries(fields?.keys().flatMap((key) => { const value = fields.string(key); return value === undefined ? [] : [[key, value]]; }) ?? []);
  }

  /** Reports when more than one of them is set. */
  exclusive(...names: string[]): void {
    const set = names.filter((name) => this.has(name));
    if (set.length > 1) this.error(set[1]!, `cannot be set together with ${set[0]}`);
  }

  /** Fields that mean something we do not do: each that is set is a warning with its reason. */
  unimplemented(names: Readonly<Record<string, string>>): void {
    for (const name in names) if (this.has(name)) this.warn(name, `is not implemented: ${names[name]}`);
  }

  /** Everything not asked for until now is unknown. Misspelt fields must not be ignored in silence. */
  finish(): void {
    for (const name of this.keys()) if (!this.#known.has(name)) this.error(name, 'is not a known field');
  }

  #list(name: string): unknown[] {
    const value = this.raw(name);
    if (value === undefined) return [];
    if (Array.isArray(value)) return value;
    this.error(name, `must be a list, not ${describe(value)}`);
    return [];
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'empty';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `${JSON.stringify(value)} (a ${typeof value})`;
}

function range(min: number, max: number): string {
  if (max === Infinity) return `${min} or more`;
  return min === -Infinity ? `${max} or less` : `between ${min} and ${max}`;
}
