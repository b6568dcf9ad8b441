import { MeshError } from '../errors.js';

/** A value of a JSON document that knows where it stands, so that every complaint names its path. */
export class JsonValue {
  readonly value: unknown;
  readonly path: string;
  readonly #source: string;

  private constructor(value: unknown, path: string, source: string) {
    this.value = value;
    this.path = path;
    this.#source = source;
  }

  /** @param source what the document is called in errors. */
  static parse(text: string, source: string): JsonValue {
    try {
      return new JsonValue(JSON.parse(text), '$', source);
    } catch (error) {
      throw new MeshError('WEFT_BOOTSTRAP_INVALID', `${source}: not JSON: ${(error as Error).message}`, { cause: error });
    }
  }

  get present(): boolean {
    return this.value !== undefined && this.value !== null;
  }

  /** A field of an object; absent where the object itself is. */
  field(name: string): JsonValue {
    if (!this.present) return this.#child(undefined, `.${name}`);
    const object = this.object();
    return this.#child(Object.hasOwn(object, name) ? object[name] : undefined, `.${name}`);
  }

  object(): Record<string, unknown> {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value)) throw this.error('must be an object');
    return this.value as Record<string, unknown>;
  }

  /** Empty where it is absent. */
  list(): JsonValue[] {
    if (!this.present) return [];
    if (!Array.isArray(this.value)) throw this.error('must be a list');
    return this.value.map((item, i) => this.#child(item, `[${i}]`));
  }

  /** Fields by name; none where it is absent. */
  fields(): [string, JsonValue][] {
    return this.present ? Object.keys(this.object()).map((name) => [name, this.field(name)]) : [];
  }

  string(): string {
    if (typeof this.value !== 'string' || this.value === '') throw this.error('must be a string that is not empty');
    return this.value;
  }

  optionalString(): string | undefined {
    return this.present ? this.string() : undefined;
  }

  error(reason: string): MeshError {
    return new MeshError('WEFT_BOOTSTRAP_INVALID', `${this.#source}: ${this.path}: ${reason}`);
  }

  #child(value: unknown, suffix: string): JsonValue {
    return new JsonValue(value, this.path + suffix, this.#source);
  }
}
